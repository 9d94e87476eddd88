"""What a fit says about the time it took."""

import types

from aira_jax.tasks.lra import fit


def test_compiling_is_time_of_the_device_and_no_training_time():
    others = dict.fromkeys(("params", "steps", "steps_per_s", "tokens_per_s", "peak_memory_bytes", "train_rows"), 1)
    report = types.SimpleNamespace(**others, params_vs_transformer=1.0, warnings=(), wall_s=10.0, compile_s=4.0)
    facts = fit.facts(report)
    assert (facts["train_s"], facts["device_s"]) == (6.0, 10.0)
