"""What trains: a model as three functions, its own code (`Linen`) or programs exported from it (`Exported`).

No function of a model sees targets: the loss is ours (`gradient`), a model answers with logits and with the map that
pulls a cotangent of them back to its parameters.

B batch, L length, C classes. `inputs` are int32 [B, L], one array, or two for pairs.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from aira_jax.core import files
from aira_jax.programs import store
from aira_jax.programs.dependence import Dependence
from aira_jax.programs.store import Program, ProgramError, Reason
from lra import model as models
from lra.failures import CandidateFault, Kind
from lra.settings import Settings, task_info

MANIFEST = "programs.json"
MOST_LEAVES = 20_000
SMALL_STATS, STATS_SHARE = 4096, 4  # numbers in batch_stats that any model may keep; parameters for each one above
_KINDS = {
    Reason.ABSENT: Kind.CRASH,
    Reason.UNREADABLE: Kind.CRASH,
    Reason.IMPURE: Kind.INTERFACE,
    Reason.SHAPES: Kind.SHAPE,
    Reason.PLATFORM: Kind.CRASH,
    Reason.SIZE: Kind.INTERFACE,
    Reason.MEMORY: Kind.INTERFACE,
    Reason.NONLINEAR: Kind.INTERFACE,
}
Inputs = tuple[jax.Array, ...]
Pull = Callable[[jax.Array], Any]
"""The cotangent of the logits [B, C] -> that of the parameters."""


class Network(Protocol):
    """Three pure functions. Variables are {"params": ..., "batch_stats": ...}."""

    def initial(self, key: jax.Array) -> dict[str, Any]:
        """Fresh variables."""

    def forward(self, params: Any, batch_stats: Any, inputs: Inputs, key: jax.Array) -> tuple[jax.Array, Any, Pull]:
        """Float32 logits [B, C] of a training pass, new batch_stats, the way back; `key` draws dropout."""

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

    def forward(self, params: Any, batch_stats: Any, inputs: Inputs, key: jax.Array) -> tuple[jax.Array, Any, Pull]:
        def logits(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, "batch_stats": batch_stats}
            logits_BC, changed = models.apply(self.model, variables, inputs, dropout=key)
            return logits_BC.astype(jnp.float32), changed

        logits_BC, pull, changed = jax.vjp(logits, params, has_aux=True)
        return logits_BC, changed, jax.tree_util.Partial(_only, pull)

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        return models.apply(self.model, variables, inputs, dropout=None)[0].astype(jnp.float32)


def _only(pull: Callable[[jax.Array], tuple], cotangent: jax.Array) -> Any:
    (result,) = pull(cotangent)
    return result


def gradient(
    network: Network, params: Any, batch_stats: Any, inputs: Inputs, targets_B: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array, Any, Any]:
    """(mean cross-entropy, accuracy, its gradient, new batch_stats) of a training pass; `key` draws dropout."""
    logits_BC, changed, pull = network.forward(params, batch_stats, inputs, key)
    value, cotangent_BC = jax.value_and_grad(cross_entropy)(logits_BC, targets_B)
    return value, jnp.mean(logits_BC.argmax(-1) == targets_B), pull(cotangent_BC), changed


def cross_entropy(logits_BC: jax.Array, targets_B: jax.Array) -> jax.Array:
    """The mean over the batch, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits_BC, targets_B).mean()


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
    inputs, key = _shapes(network.task, settings)

    def variables(arrays: Sequence[jax.Array]) -> tuple[Any, Any]:
        parts = (arrays[:count], arrays[count:])
        return tuple(jax.tree.unflatten(tree, part) for tree, part in zip(trees, parts, strict=True))

    def initial(key: jax.Array) -> tuple:
        made = network.initial(jax.random.wrap_key_data(key))
        return tuple(leaf for name in models.COLLECTIONS for leaf in jax.tree.leaves(made.get(name, {})))

    way_back: list[Any] = []

    def forward(*arrays: jax.Array) -> tuple:
        params, batch_stats = variables(arrays[: len(leaves)])
        *tokens, key = arrays[len(leaves) :]
        logits_BC, changed, pull = network.forward(params, batch_stats, tuple(tokens), jax.random.wrap_key_data(key))
        kept, tree = jax.tree.flatten(pull)
        way_back[:] = [tree, [_key_impl(leaf) for leaf in kept]]
        return (logits_BC, *jax.tree.leaves(changed), *map(_plain, kept))

    def backward(*arrays: jax.Array) -> tuple:
        *kept, cotangent_BC = arrays
        tree, impls = way_back
        pull = jax.tree.unflatten(tree, map(_wrapped, kept, impls))
        return tuple(jax.tree.leaves(pull(cotangent_BC)))

    def logits(*arrays: jax.Array) -> tuple:
        return (network.logits(*variables(arrays[: len(leaves)]), arrays[len(leaves) :]),)

    store.save(folder, "initial", initial, [key])
    made = store.save(folder, "forward", forward, [*leaves, *inputs, key])
    store.save(folder, "backward", backward, [*made[1 + len(leaves) - count :], made[0]])
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

    def forward(self, params: Any, batch_stats: Any, inputs: Inputs, key: jax.Array) -> tuple[jax.Array, Any, Pull]:
        before = _leaves(batch_stats)
        logits_BC, *out = self.programs["forward"](*_leaves(params), *before, *inputs, jax.random.key_data(key))
        changed, kept = out[: len(before)], out[len(before) :]
        return logits_BC, _named(changed), functools.partial(self._pull, kept)

    def _pull(self, kept: Sequence[jax.Array], cotangent_BC: jax.Array) -> Any:
        return _named(self.programs["backward"](*kept, cotangent_BC))

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        return self.programs["logits"](*_leaves(params), *_leaves(batch_stats), *inputs)[0]


def load(folder: Path, task: str, settings: Settings) -> Exported:
    """The programs that `export` wrote for a task and its settings. Raises: CandidateFault for anything else."""
    inputs, key = _shapes(task, settings)
    logits_BC = jax.ShapeDtypeStruct((settings.batch_size, task_info(task).classes), jnp.float32)
    try:
        initial = store.load(folder, "initial", [key])
        leaves, count = initial.outputs, _count(folder)
        if not 0 < count <= len(leaves) <= MOST_LEAVES:
            raise ProgramError(Reason.SHAPES, "initial", f"{count} parameters of {len(leaves)} arrays")
        for leaf in leaves[:count]:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise ProgramError(Reason.SHAPES, "initial", f"a parameter of {leaf.dtype}: only floats are trained")
        forward = store.load(folder, "forward", [*leaves, *inputs, key])
        made = [logits_BC, *leaves[count:]]
        store.compare("forward", "results", forward.outputs[: len(made)], made)
        kept = forward.outputs[len(made) :]
        programs = {
            "initial": initial,
            "forward": forward,
            "backward": store.load(folder, "backward", [*kept, logits_BC], leaves[:count]),
            "logits": store.load(folder, "logits", [*leaves, *inputs], [logits_BC]),
        }
        _prove(programs, leaves, count)
    except ProgramError as error:
        raise fault(error) from error
    return Exported(programs, count)


def _prove(programs: dict[str, Program], leaves: Sequence[jax.ShapeDtypeStruct], count: int) -> None:
    """Refuses programs that may do more than an update's one gradient, as their texts show. Raises: ProgramError.

    Running statistics change by an affine map of themselves and nothing else of a training pass reads them, so that
    they cannot hold what an inner training has learnt. The way back is linear in the cotangent of the logits.
    """
    stats, forward = leaves[count:], programs["forward"]
    size, params = (sum(leaf.size for leaf in part) for part in (stats, leaves[:count]))
    if size > (most := max(SMALL_STATS, params // STATS_SHARE)):
        raise ProgramError(Reason.MEMORY, "initial", f"batch_stats of {size} numbers, at most {most} are kept here")
    marked = [Dependence.CONSTANT] * len(forward.inputs)
    marked[count : len(leaves)] = [Dependence.LINEAR] * len(stats)
    logits, *rest = forward.dependence(marked)
    changed, kept = rest[: len(stats)], rest[len(stats) :]
    if max(logits, *kept) > Dependence.CONSTANT or max(changed, default=Dependence.ZERO) > Dependence.AFFINE:
        raise ProgramError(Reason.MEMORY, "forward", "a training pass reads batch_stats for more than their averages")
    if max(programs["backward"].dependence([*kept, Dependence.LINEAR])) > Dependence.LINEAR:
        raise ProgramError(Reason.NONLINEAR, "backward", "it is not linear in the gradient of the logits")


def fault(error: ProgramError) -> CandidateFault:
    """A program that is refused is the candidate's fault."""
    mend = {
        Reason.IMPURE: ": a model computes from its inputs and parameters alone, by jax operations",
        Reason.ABSENT: ": the process that imports model.py must end by itself",
        Reason.SIZE: ": compute large tables from their formula, or make them parameters",
        Reason.MEMORY: ": batch_stats are running averages for the evaluation (nn.BatchNorm)",
        Reason.NONLINEAR: ": a custom_vjp multiplies the gradient that it gets and adds up, no more",
    }.get(error.reason, "")
    return CandidateFault(_KINDS[error.reason], f"{error}{mend}", reason=str(error.reason), program=error.name)


def _shapes(task: str, settings: Settings) -> tuple[list[jax.ShapeDtypeStruct], Any]:
    """Of inputs and of a key."""
    tokens = jax.ShapeDtypeStruct((settings.batch_size, settings.max_length), jnp.int32)
    inputs = [tokens] * (2 if task_info(task).pair else 1)
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    return inputs, key


def _count(folder: Path) -> int:
    """How many parameters the manifest claims; 0 where it claims nothing readable."""
    try:
        count = json.loads(store.read(folder / MANIFEST, MANIFEST, 1000))["params"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return count if type(count) is int else 0


def _key_impl(leaf: Any) -> Any:
    """How a typed key draws; None for an array."""
    return jax.random.key_impl(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else None


def _plain(leaf: Any) -> jax.Array:
    return jnp.asarray(leaf) if _key_impl(leaf) is None else jax.random.key_data(leaf)


def _wrapped(leaf: jax.Array, impl: Any) -> jax.Array:
    return leaf if impl is None else jax.random.wrap_key_data(leaf, impl=impl)


def _named(leaves: Sequence[jax.Array]) -> dict[str, jax.Array]:
    return {f"{number:05d}": leaf for number, leaf in enumerate(leaves)}


def _leaves(named: dict[str, jax.Array]) -> list[jax.Array]:
    return [named[name] for name in sorted(named)]
