"""What a config file's variant may say, and what is said about a bad one."""

import pytest
from ml_collections import config_dict

from aira_jax.core import config_variants


def config() -> config_dict.ConfigDict:
    made = config_dict.ConfigDict(
        {"task": "mad", "budget": {"steps": 6, "usd": config_dict.placeholder(float)}, "fast": False}
        | {"rules": (), "extra": {}}
    )
    made.lock()
    made.extra.unlock()
    return made


def apply(variant: str) -> config_dict.ConfigDict:
    values = {"small": {"budget.steps": 2}, "large": {"budget.steps": 200}}
    words = {"agent": lambda name: {"task": f"for {name}"}}
    return config_variants.apply(config(), variant, file="file.py", named=values.__getitem__, words=words)


def test_text_becomes_what_the_option_is():
    made = apply("small,agent=opus,budget.usd=20,fast=True,extra.rate=0.5,extra.pool=CLS")
    assert (made.task, made.budget.steps, made.budget.usd, made.fast) == ("for opus", 2, 20.0, True)
    assert made.extra.to_dict() == {"rate": 0.5, "pool": "CLS"}


def test_a_later_word_wins():
    assert apply("small,budget.steps=3,budget.steps=4").budget.steps == 4


@pytest.mark.parametrize(
    "option, message",
    [
        ("steps", "file.py:small,steps: 'steps' must be written key=value"),
        ("tas=x", 'config.tas is no option (did you mean "task"?); valid: '),
        ("budget.step=3", 'config.budget.step is no option (did you mean "steps"?); valid: steps, usd'),
        ("budget.steps=few", "config.budget.steps='few' must be of type int"),
        ("fast=perhaps", "config.fast='perhaps' must be of type bool"),
        ("budget=3", "config.budget is a group of options: write budget.<option>=3"),
        ("task.name=x", "config.task.name is no option; valid: none"),
        ("rules=x", "config.rules is a tuple, which no variant can spell"),
    ],
)
def test_a_bad_option_is_refused(option, message):
    with pytest.raises(ValueError) as caught:
        apply(f"small,{option}")
    assert message in str(caught.value)
