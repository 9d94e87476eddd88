"""aira_jax: agents that discover neural architectures, in JAX (arXiv 2605.15871).

    from aira_jax import evaluate, search, extrapolate

    evaluate("8(A-M)", preset="smoke").score                 # train and score one pattern
    found = search("smoke", "runs")                          # an agent on a task; found.pattern, found.fitness
    extrapolate(found.pattern, scale="1B", method="stretch")   # the same idea with a billion parameters

The names below are all there is to learn; they are loaded when first used, so that importing the package costs
nothing and no accelerator. The rooms behind them: WORKSPACE.md.
"""

import importlib
import inspect
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aira_jax.api import SearchResult, aggregate, evaluate, extrapolate, load_task, parse, search
    from aira_jax.patterns import Pattern, PatternError
    from aira_jax.proxies.result import ProxyResult
    from aira_jax.tasks.task import Task

__version__ = "0.1.0"

_HOMES = {
    "aira_jax.api": ("SearchResult", "aggregate", "evaluate", "extrapolate", "load_task", "parse"),
    "aira_jax.patterns": ("Pattern", "PatternError"),
    "aira_jax.proxies.result": ("ProxyResult",),
    "aira_jax.tasks.loader": ("Task",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Pattern",
    "PatternError",
    "ProxyResult",
    "SearchResult",
    "Task",
    "aggregate",
    "evaluate",
    "extrapolate",
    "load_task",
    "parse",
    "search",
]


def __getattr__(name: str):
    if name == "search":
        return importlib.import_module("aira_jax.search")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public: {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Room(types.ModuleType):
    """`aira_jax.search`: to users a function, to those who extend it the package that holds the parts of a search."""

    def __call__(self, *arguments, **options):
        return self._function(*arguments, **options)

    @property
    def _function(self):
        return importlib.import_module("aira_jax.api").search

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function)

    @property
    def __doc__(self) -> str:
        return self._function.__doc__


class _Package(types.ModuleType):
    def __setattr__(self, name: str, value) -> None:
        if name == "search":  # the import system hands over the package
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
