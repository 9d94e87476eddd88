"""Settings and the config file: what may be written, and what is said when it may not."""

import math
import os
from pathlib import Path

import pytest

from aira_jax.core import config_flag
from aira_jax.search.engine import executions, session
from aira_jax.search.settings import Settings, Workers, to_config

FILE = Path(__file__).parents[2] / "configs" / "search.py"


@pytest.mark.parametrize(
    "variant", ["smoke", "demo", "mad2", "mad3", "paper_greedy", "mad2,agent=opus,budget.usd=20,seed=3"]
)
def test_every_variant_is_valid(variant):
    assert Settings.of(config_flag.load(str(FILE), variant)).budget.steps


def test_options_of_a_variant_are_typed():
    settings = Settings.of(config_flag.load(str(FILE), "mad2,agent=opus,budget.usd=20,prompt.complexity=true"))
    assert settings.llm["model"] == "claude-opus-4-6"
    assert settings.agent_name == "greedy-claude-opus-4-6"
    assert settings.budget.usd == 20.0
    assert settings.prompt.complexity is True


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("dmo", r"no variant 'dmo' \(did you mean \"demo\"\?\); valid: smoke, demo"),
        ("mad2,agent=opsu", r"no agent 'opsu' \(did you mean \"opus\"\?\)"),
        ("mad2,budget.stps=4", r"config.budget.stps is no option \(did you mean \"steps\"\?\)"),
        ("mad2,budget.steps=four", "config.budget.steps='four' must be of type int"),
        ("mad2,seed", "must be written key=value"),
    ],
)
def test_a_bad_variant_says_what_is_valid(variant, message):
    with pytest.raises(ValueError, match=message):
        config_flag.load(str(FILE), variant)


def test_a_key_of_the_provider_s_own_goes_into_the_variant():
    file = Path(__file__).parents[2] / "configs" / "search.py"
    assert config_flag.load(str(file), "smoke,llm.extra.seed=1").llm.extra.seed == 1
    told = config_flag.check(["--config.llm.extra.seed=1"], file)
    assert "--config=FILE:VARIANT,llm.extra.seed=VALUE" in told
    assert "did you mean" in config_flag.check(["--config.llm.modle=1"], file)


def test_defaults_survive_the_way_through_a_config():
    assert Settings.of(to_config(Settings())) == Settings()
    assert Settings.of(session.plain(Settings())) == Settings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, r"config.sed is no option \(did you mean \"seed\"\?\)"),
        ({"budget": {"steps": 1.5}}, "config.budget.steps=1.5 must be of type int"),
        ({"budget": {"usd": -1.0}}, "config.budget.usd=-1.0 must be at least 0"),
        ({"budget": {"wall_s": math.inf}}, "config.budget.wall_s=inf must be a finite number"),
        ({"sandbox": {"fit_s": math.nan}}, "config.sandbox.fit_s=nan must be a finite number"),
        ({"workers": {"order": "lifo"}}, r"unknown config.workers.order 'lifo' .*valid: fifo, asap"),
        ({"policy": {"greedy": {"debug_prob": 2.0}}}, r"debug_prob=2.0 must lie in \[0, 1\]"),
        ({"agent": "a/b"}, "config.agent='a/b' names a folder"),
        ({"task": ""}, "config.task is empty: name a task or the path"),
        ({"llm": {"modle": "x"}}, "modle"),
    ],
)
def test_a_bad_setting_names_the_key_and_the_mend(change, message):
    with pytest.raises(ValueError, match=message):
        Settings.of(change)


def test_the_identity_of_a_run_leaves_out_budget_workers_and_paths():
    plain = session.plain(Settings())
    same = session.plain(Settings.of({"budget": {"steps": 7}, "workers": {"n": 4}, "paths": {"cache_dir": "x"}}))
    assert session.run_id(plain) == session.run_id(same)
    assert session.run_id(plain) != session.run_id(session.plain(Settings.of({"profile": "paper"})))


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.setattr(executions, "has_gpu", lambda: True)


def test_devices_that_the_machine_lacks_are_refused_with_the_mend(monkeypatch):
    monkeypatch.setattr(executions, "has_gpu", lambda: False)
    with pytest.raises(ValueError, match=r"config.workers.devices='0' names GPUs.*devices=cpu"):
        executions.make_slots(Workers(devices="0"), exclusive=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert executions.visible_devices("") == executions.visible_devices("cpu") == ()


def test_slots_divide_the_cores(monkeypatch, gpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    slots = executions.make_slots(Workers(n=4, devices="cpu", slots_per_device=4), exclusive=False)
    assert [slot.cpus for slot in slots] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    two = executions.make_slots(Workers(n=3, devices="0,1", slots_per_device=2), exclusive=False)
    assert [slot.device for slot in two] == ["0", "1", "0"]


def test_more_slots_than_devices_hold_is_an_error_naming_the_key(gpus):
    with pytest.raises(ValueError, match=r"config.workers.eval=3 .*slots_per_device=1"):
        executions.make_slots(Workers(n=3, eval=3, devices="0,1"), exclusive=False)


@pytest.mark.parametrize(
    ("workers", "key"),
    [
        (Workers(n=2, devices="0", slots_per_device=2), "slots_per_device"),
        (Workers(n=2, eval=2, devices="cpu"), "eval"),
    ],
)
def test_tasks_that_depend_on_the_clock_run_alone(workers, key, gpus):
    with pytest.raises(ValueError, match=rf"config.workers.{key} must be 1"):
        executions.make_slots(workers, exclusive=True)
