"""The sources that decide a score: one digest stands in the keys of results and of compiled programs.

Who edits a layer, the training or a generator gets a new number, never the one of the sources before.
"""

import functools
from pathlib import Path

from aira_jax.core import sources
from aira_jax.core.machine import ROOT
from aira_jax.patterns import registry

_SCORES = ("aira_jax.proxies.lanes", "aira_jax.proxies.mad")
_WITHOUT = (  # they find, choose or describe what others compute
    "aira_jax",
    "aira_jax.core",
    "aira_jax.core.files",
    "aira_jax.core.machine",
    "aira_jax.proxies.cache",
    "aira_jax.proxies.compile_cache",
    "aira_jax.proxies.engine_table",
    "aira_jax.proxies.result",
    "aira_jax.proxies.sources",
)
_TUNED = ROOT / "kernels_pallas" / "tuned.json"  # decides which kernels run


def digest() -> str:
    """Of everything in this project that decides what a pattern scores: models, training, kernels, generators.

    The files of your own primitives count too, not what they import. Layers are named by text in the registry and so
    given here.
    """
    return _digest(roots(), registry.own_files())


def roots() -> tuple[str, ...]:
    """The modules from which imports are followed."""
    return *_SCORES, *registry.modules()


@functools.cache
def _digest(roots: tuple[str, ...], own: tuple[Path, ...]) -> str:
    return sources.digest(roots, files=[_TUNED, *own], without=_WITHOUT)


@functools.cache
def of(*modules: str) -> str:
    """Of what decides the rows that `modules` make."""
    return sources.digest(modules, without=_WITHOUT)
