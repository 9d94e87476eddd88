"""What users have written down stays readable: flags of commands, keys and variants of configs.

tests/frozen/*.txt hold one name a line. Whoever adds a name adds a line; a line that goes or changes breaks somebody's
script, or the config in an old log.
"""

import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl import flags

from aira_jax.configs import latency, lra, pretrain, search
from aira_jax.core import config_flag, files, settings

ROOT = Path(__file__).parents[1]
CONFIGS = {"latency": latency, "lra": lra, "pretrain": pretrain, "search": search}
EARLIER = {"statistics": "stats"}  # a name that remains, and the script that it runs
FROZEN = Path(__file__).with_name("frozen")


def defined(script: Path) -> list[str]:
    """`--name kind` of every flag that a script defines, without running it."""
    found = []

    def recorder(kind: str, define):
        def record(name, *arguments, **options):
            if sys._getframe(1).f_globals["__name__"] != script.stem:
                return define(name, *arguments, **options)
            found.append(f"--{name} {kind}")
            return types.SimpleNamespace(value=None)

        return record

    kinds = [name for name in dir(flags) if name.startswith("DEFINE_")]
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            patch.setattr(flags, kind, recorder(kind.removeprefix("DEFINE_"), getattr(flags, kind)))
        patch.setattr(config_flag, "define", lambda file: found.append(f"--config configs/{file.name}"))
        runpy.run_path(str(script), run_name=script.stem)
    return found


def commands() -> Iterator[str]:
    for script in sorted((ROOT / "scripts").glob("[a-z]*.py")):
        body = script.with_stem(EARLIER.get(script.stem, script.stem))
        yield from (f"{script.stem} {flag}" for flag in defined(body))


def options() -> Iterator[str]:
    for family, config in CONFIGS.items():
        yield from (f"{family} config.{key}" for key in files.flatten(settings.plain(config.get_config())))


def variants() -> Iterator[str]:
    tables = {"search": (search.VARIANTS, search.AGENTS), "latency": (latency.VARIANTS,), "lra": (lra.RECIPES,)}
    tables["pretrain"] = (pretrain.VARIANTS,)
    yield from (f"{family}:{name}" for family, found in tables.items() for table in found for name in table)


@pytest.mark.parametrize("found", [commands, options, variants], ids=lambda found: found.__name__)
def test_names_that_users_wrote_down_stay(found):
    now, file = set(found()), FROZEN / f"{found.__name__}.txt"
    frozen = set(file.read_text().splitlines())
    assert not frozen - now, "gone or changed: old commands and logs use it"
    assert not now - frozen, f"new: add the line to {file.name} if the name is meant to stay"
