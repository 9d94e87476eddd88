"""config.llm: overrides, bad values, and list prices."""

import pytest
from ml_collections import config_dict

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm import prices

ROW = {"input": 1.0, "cache_write_5m": 2.0, "cache_write_1h": 3.0, "cache_read": 0.5, "output": 4.0}


def test_an_operator_may_override_some_options():
    config = config_dict.ConfigDict(
        {"backend": "anthropic", "model": "big", "analyze": {"model": "small", "temperature": None}}
    )
    assert llm.options(config, Operator.ANALYZE).model == "small"
    assert llm.options(config, Operator.ANALYZE).backend == "anthropic"
    assert llm.options(config, Operator.DRAFT).model == "big"
    assert llm.options(config).model == "big"


@pytest.mark.parametrize(
    "config, words",
    [
        (
            {"backend": "antropic"},
            'unknown config.llm.backend .antropic. .did you mean "anthropic"..; valid: anthropic, .*control.evolution',
        ),
        ({"modell": "m"}, "config.llm.modell is no option.*did you mean .model."),
        ({"draft": {"topp": 1}}, "config.llm.topp is no option.*did you mean .top_p."),
        ({"max_tokens": 0}, "max_tokens=0 must be at least 1"),
        ({"max_parse_retries": -1}, "max_parse_retries=-1"),
        ({"deadline_s": 0.0}, "deadline_s=0.0 must be positive"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"top_p": 0.0}, "top_p=0.0"),
    ],
)
def test_a_bad_option_is_named_with_its_mend(config, words):
    with pytest.raises(ValueError, match=words):
        llm.options(config, Operator.DRAFT)


def test_a_model_has_its_list_price_with_and_without_a_date():
    assert prices.of("claude-opus-4-5-20251101") == prices.of("claude-opus-4-5")
    assert prices.of("claude-opus-4-6")["cache_read"] == 0.50
    assert prices.of("no-such-model") is None


def test_the_config_overrides_the_list():
    assert prices.of("claude-opus-4-6", {"claude-opus-4-6": ROW}) == ROW
    assert prices.of("mine", {"mine": ROW}) == ROW
    assert prices.of("claude-opus-4-6", {"mine": ROW})["output"] == 25.0


@pytest.mark.parametrize(
    "row", [{"input": 1.0}, ROW | {"more": 1.0}, ROW | {"output": -1.0}, ROW | {"output": "4"}, -3.0, "3", True]
)
def test_a_malformed_price_is_refused(row):
    with pytest.raises(ValueError, match=r"config.llm.prices\['mine'\]"):
        prices.of("mine", {"mine": row})


def test_a_price_may_be_one_number_or_input_and_output():
    assert prices.of("mine", {"mine": 0}) == dict.fromkeys(prices.COLUMNS, 0.0)
    short = prices.of("mine", {"mine": {"input": 1.0, "output": 4.0}})
    assert (short["cache_read"], short["cache_write_1h"], short["output"]) == (1.0, 1.0, 4.0)
