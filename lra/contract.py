"""What a model.py must hold, checked on its source alone: it parses and defines the class that its task needs.

`nnx_adapter` (in `lra.nnx`, loaded on first use) makes such a class from an NNX module. This module imports no
array library, so that a submission is checked within milliseconds and without running it.
"""

import ast

from aira_jax.core import choices
from lra import globals as lra_globals
from lra import settings
from lra.failures import CandidateFault, Kind

_ADAPTER = "nnx_adapter"


def check_source(source: str, task: str) -> None:
    """Raises CandidateFault: syntax, or missing_class with the classes that are there and the one that is meant."""
    wanted = settings.task_info(task).class_name
    tree = lra_globals.parse(source)
    defined = [name for node in ast.walk(tree) for name in _defines(node)]
    if wanted in defined:
        return
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    raise CandidateFault(Kind.MISSING_CLASS, missing(wanted, task, classes), expected=wanted, found=classes)


def missing(wanted: str, task: str, classes: list[str]) -> str:
    """The message for a class that is not there."""
    known = f"it defines {', '.join(classes)}{choices.hint(wanted, classes)}" if classes else "it defines no class"
    return f"model.py must define class {wanted} for {task}; {known}"


def _defines(node: ast.AST) -> list[str]:
    """Names that a statement binds: a class, an assignment (`CustomEncoder = nnx_adapter(...)`), an import."""
    match node:
        case ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


def __getattr__(name: str):
    if name != _ADAPTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lra.nnx import nnx_adapter

    return nnx_adapter
