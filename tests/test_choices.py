"""What is said about a name that nobody knows."""

import enum

import pytest

from aira_jax.core import choices


class Fruit(enum.StrEnum):
    APPLE = "apple"
    PEAR = "pear"


def test_an_unknown_name_is_refused_with_the_nearest_and_all():
    with pytest.raises(ValueError) as caught:
        choices.member(Fruit, "aple", "fruit")
    assert str(caught.value) == "unknown fruit 'aple' (did you mean \"apple\"?); valid: apple, pear"


def test_a_name_like_no_other_gets_the_list_alone():
    assert choices.unknown("fruit", "zzz", Fruit) == "unknown fruit 'zzz'; valid: apple, pear"
    assert choices.unknown("fruit", "apple", []) == "unknown fruit 'apple'; valid: none"


def test_a_known_name_becomes_its_member():
    assert choices.member(Fruit, "pear", "fruit") is Fruit.PEAR
