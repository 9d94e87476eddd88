"""The flag `--config=file.py[:variant]` with overrides `--config.key=value`, and help for keys that do not exist.

ml_collections raises from within the definition of the flag when an override names an unknown key; here the command
line is looked at first, so that the user gets one message. The package brings its config files along: where no file
lies at the path, `search:demo`, `search.py:demo` and `configs/search.py:demo` name them.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from aira_jax.core import choices, cli


def define(default: Path) -> flags.FlagHolder:
    """Defines the flag `config`. Ends the program with exit 2 for a bad file, variant or key on the command line."""
    sys.argv[1:] = [_located(argument, default.parent) for argument in sys.argv[1:]]
    problem = check(sys.argv[1:], default)
    if problem:
        sys.exit(cli.complain(problem))
    return config_flags.DEFINE_config_file("config", os.fspath(default), "Config file, optionally with :variant.")


def check(arguments: Sequence[str], default: Path) -> str | None:
    """What is wrong with the config flags on a command line, None when nothing is."""
    named = [argument.partition("=")[2] for argument in arguments if argument.lstrip("-").startswith("config=")]
    path, _, variant = (named[-1] if named else os.fspath(default)).partition(":")
    overrides = [argument for argument in arguments if argument.lstrip("-").startswith("config.")]
    try:
        config = load(path, *([variant] if variant else []))
    except OSError as error:
        return f"--config={path}: {error.strerror}; name a Python file with a function get_config"
    except ValueError as error:
        return str(error)
    problems = (_unknown_key(argument, config) for argument in overrides)
    return next((problem for problem in problems if problem), None)


def _located(argument: str, shipped: Path) -> str:
    """`--config=...` with the place of a config file that the package brings along; other arguments as they are."""
    flag, _, value = argument.partition("=")
    path, colon, variant = value.partition(":")
    file = shipped / f"{path.removeprefix('configs/').removesuffix('.py')}.py"
    ours = flag.lstrip("-") == "config" and file.is_file() and not Path(path).is_file()
    return f"{flag}={file}{colon}{variant}" if ours else argument


def load(path: str, *variant: str) -> Any:
    """What the file's get_config returns."""
    if not Path(path).is_file():
        raise FileNotFoundError(2, "no such file", path)
    spec = importlib.util.spec_from_file_location("config_file", path)
    if spec is None:
        raise ValueError(f"--config={path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"--config={path} has no function get_config")
    return module.get_config(*variant)


def _unknown_key(argument: str, config: Mapping[str, Any]) -> str | None:
    path = argument.lstrip("-").partition("=")[0].split(".")[1:]
    group: Any = config
    for depth, key in enumerate(path):
        keys = list(group) if hasattr(group, "keys") else []
        if key not in keys and depth > 1 and not getattr(group, "is_locked", True):
            told = ".".join(path)
            return f"config.{told}: keys of the provider's own go into the variant, --config=FILE:VARIANT,{told}=VALUE"
        if key not in keys:
            return choices.refusal(f"config.{'.'.join(path[: depth + 1])} is no option", key, keys)
        group = group[key]
    return None
