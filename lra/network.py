"""What trains: a model as three functions, its own code (`Linen`) or programs exported from it (`Exported`).

B batch, L length, C classes. `inputs` are int32 [B, L], one array, or two for pairs.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from aira_jax.core import files
from aira_jax.programs import store
from aira_jax.programs.store import Program, ProgramError, Reason
from lra import model as models
from lra.failures import CandidateFault, Kind
from lra.settings import Settings, task_info

MANIFEST = "programs.json"
MOST_LEAVES = 20_000
_KINDS = {
    Reason.ABSENT: Kind.CRASH,
    Reason.UNREADABLE: Kind.CRASH,
    Reason.IMPURE: Kind.INTERFACE,
    Reason.SHAPES: Kind.SHAPE,
    Reason.PLATFORM: Kind.CRASH,
}
Inputs = tuple[jax.Array, ...]


class Network(Protocol):
    """Three pure functions. Variables are {"params": ..., "batch_stats": ...}."""

    def initial(self, key: jax.Array) -> dict[str, Any]:
        """Fresh variables."""

    def gradient(self, params: Any, batch_stats: Any, inputs: Inputs, targets_B: jax.Array, key: jax.Array) -> tuple:
        """(mean cross-entropy, accuracy, its gradient, new batch_stats) of a training pass; `key` draws dropout."""

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        """Float32 [B, C] in evaluation mode."""


@dataclasses.dataclass(frozen=True)
class Linen:
    """A Linen module, traced here."""

    model: nn.Module
    task: str
    max_length: int

    def initial(self, key: jax.Array) -> dict[str, Any]:
        return models.initial(self.model, self.task, self.max_length, key)

    def gradient(self, params: Any, batch_stats: Any, inputs: Inputs, targets_B: jax.Array, key: jax.Array) -> tuple:
        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            variables = {"params": params, "batch_stats": batch_stats}
            logits_BC, changed = models.apply(self.model, variables, inputs, dropout=key)
            logits_BC = logits_BC.astype(jnp.float32)
            losses_B = optax.softmax_cross_entropy_with_integer_labels(logits_BC, targets_B)
            return losses_B.mean(), (jnp.mean(logits_BC.argmax(-1) == targets_B), changed)

        (value, (accuracy, changed)), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return value, accuracy, grads, changed

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        return models.apply(self.model, variables, inputs, dropout=None)[0].astype(jnp.float32)


def export(model: nn.Module, task: str, settings: Settings, folder: Path) -> None:
    """Writes the programs of a model, made from shapes alone. Raises: CandidateFault."""
    network = Linen(model, task, settings.max_length)

    def run() -> None:
        try:
            _export(network, settings, folder)
        except ProgramError as error:
            raise fault(error) from error

    models.traced(model, "exporting", run)


def _export(network: Linen, settings: Settings, folder: Path) -> None:
    shapes = jax.eval_shape(network.initial, jax.random.key(0))
    trees = [jax.tree.structure(shapes.get(name, {})) for name in models.COLLECTIONS]
    count = trees[0].num_leaves
    leaves = [leaf for name in models.COLLECTIONS for leaf in jax.tree.leaves(shapes.get(name, {}))]
    inputs, targets_B, key = _shapes(network.task, settings)

    def variables(arrays: Sequence[jax.Array]) -> tuple[Any, Any]:
        parts = (arrays[:count], arrays[count:])
        return tuple(jax.tree.unflatten(tree, part) for tree, part in zip(trees, parts, strict=True))

    def initial(key: jax.Array) -> tuple:
        made = network.initial(jax.random.wrap_key_data(key))
        return tuple(leaf for name in models.COLLECTIONS for leaf in jax.tree.leaves(made.get(name, {})))

    def gradient(*arrays: jax.Array) -> tuple:
        params, batch_stats = variables(arrays[: len(leaves)])
        *tokens, targets, key = arrays[len(leaves) :]
        value, accuracy, *changed = network.gradient(
            params, batch_stats, tuple(tokens), targets, jax.random.wrap_key_data(key)
        )
        return (value, accuracy, *jax.tree.leaves(changed))

    def logits(*arrays: jax.Array) -> tuple:
        return (network.logits(*variables(arrays[: len(leaves)]), arrays[len(leaves) :]),)

    store.save(folder, "initial", initial, [key])
    store.save(folder, "gradient", gradient, [*leaves, *inputs, targets_B, key])
    store.save(folder, "logits", logits, [*leaves, *inputs])
    files.write_json(folder / MANIFEST, {"params": count})


@dataclasses.dataclass(frozen=True)
class Exported:
    """Programs of a model whose code is not here. Parameters are named by their number; `count` of them come first."""

    programs: dict[str, Program]
    count: int

    def initial(self, key: jax.Array) -> dict[str, Any]:
        leaves = self.programs["initial"](jax.random.key_data(key))
        return {"params": _named(leaves[: self.count]), "batch_stats": _named(leaves[self.count :])}

    def gradient(self, params: Any, batch_stats: Any, inputs: Inputs, targets_B: jax.Array, key: jax.Array) -> tuple:
        leaves = (*_leaves(params), *_leaves(batch_stats))
        out = self.programs["gradient"](*leaves, *inputs, targets_B, jax.random.key_data(key))
        value, accuracy, *changed = out
        return value, accuracy, _named(changed[: self.count]), _named(changed[self.count :])

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        return self.programs["logits"](*_leaves(params), *_leaves(batch_stats), *inputs)[0]


def load(folder: Path, task: str, settings: Settings) -> Exported:
    """The programs that `export` wrote for a task and its settings. Raises: CandidateFault for anything else."""
    inputs, targets_B, key = _shapes(task, settings)
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    logits_BC = jax.ShapeDtypeStruct((settings.batch_size, task_info(task).classes), jnp.float32)
    try:
        initial = store.load(folder, "initial", [key])
        leaves, count = initial.outputs, _count(folder)
        if not 0 < count <= len(leaves) <= MOST_LEAVES:
            raise ProgramError(Reason.SHAPES, "initial", f"{count} parameters of {len(leaves)} arrays")
        training = ([*leaves, *inputs, targets_B, key], [scalar, scalar, *leaves])
        programs = {
            "initial": initial,
            "gradient": store.load(folder, "gradient", *training),
            "logits": store.load(folder, "logits", [*leaves, *inputs], [logits_BC]),
        }
    except ProgramError as error:
        raise fault(error) from error
    return Exported(programs, count)


def fault(error: ProgramError) -> CandidateFault:
    """A program that is refused is the candidate's fault."""
    mend = {
        Reason.IMPURE: ": a model computes from its inputs and parameters alone, by jax operations",
        Reason.ABSENT: ": the process that imports model.py must end by itself",
    }.get(error.reason, "")
    return CandidateFault(_KINDS[error.reason], f"{error}{mend}", reason=str(error.reason), program=error.name)


def _shapes(task: str, settings: Settings) -> tuple[list[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct, Any]:
    """Of inputs, targets and a key."""
    tokens = jax.ShapeDtypeStruct((settings.batch_size, settings.max_length), jnp.int32)
    inputs = [tokens] * (2 if task_info(task).pair else 1)
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    return inputs, jax.ShapeDtypeStruct((settings.batch_size,), jnp.int32), key


def _count(folder: Path) -> int:
    """How many parameters the manifest claims; 0 where it claims nothing readable."""
    try:
        count = json.loads(store.read(folder / MANIFEST, MANIFEST, 1000))["params"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return count if type(count) is int else 0


def _named(leaves: Sequence[jax.Array]) -> dict[str, jax.Array]:
    return {f"{number:05d}": leaf for number, leaf in enumerate(leaves)}


def _leaves(named: dict[str, jax.Array]) -> list[jax.Array]:
    return [named[name] for name in sorted(named)]
