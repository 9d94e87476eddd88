"""A candidate's class becomes a model: import, fields, a probe of its shapes, all before anything is computed.

Only the process that trains imports this module (and with it jax and the candidate's code).
B batch, L length, C classes.
"""

import dataclasses
import functools
import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp

from aira_jax.core import machine
from aira_jax.core.failures import Failure
from lra import contract, encoders, settings
from lra.failures import CandidateFault, Kind
from lra.settings import Settings

COLLECTIONS = ("params", "batch_stats")
PACKAGES = ("jax", "flax", "optax", "chex", "einops", "numpy")
_MODULE = "lra_candidate"
_PASSED = ("emb_dim", "num_heads", "num_layers", "qkv_dim", "mlp_dim")
_OF_THE_CONTRACT = (flax.errors.ModifyScopeVariableError, flax.errors.InvalidRngError)
_OF_TRACING = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)  # a value was asked for where only its shape is known
_ARRAY_OPERATIONS = ("jax/_src/lax/", "jax/_src/numpy/", "jax/_src/util.py", "opt_einsum/")
_FRAME = {"parent", "name"}  # fields of every Linen module


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a model's variables are: shapes by collection, and how many numbers its parameters hold."""

    shapes: Mapping[str, Any]
    params: int


def load(path: Path, task: str) -> type[nn.Module]:
    """Imports a model.py and returns the class that `task` needs.

    Raises: CandidateFault (import) when the import raises, (missing_class) when the class is absent or no Linen module.
    """
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise CandidateFault(Kind.IMPORT, _import_message(error, path)) from error
    wanted = settings.task_info(task).class_name
    found = getattr(module, wanted, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    if found is None:
        raise CandidateFault(Kind.MISSING_CLASS, contract.missing(wanted, task, classes))
    bases = ", ".join(base.__name__ for base in found.__mro__[1:-1]) if isinstance(found, type) else repr(found)
    raise CandidateFault(
        Kind.MISSING_CLASS,
        f"{wanted} must be a flax.linen.Module (class {wanted}(nn.Module)); it is {bases or 'a plain class'}. "
        f"An nnx.Module becomes one by {wanted} = lra.contract.nnx_adapter(YourClass)",
    )


def named(name: str, task: str) -> type[nn.Module]:
    """The class of an encoder of `lra.encoders`; ValueError with the nearest names otherwise."""
    return encoders.dual(name) if settings.task_info(task).pair else encoders.single(name)


def build(cls: type[nn.Module], task: str, chosen: Settings, options: Mapping[str, Any] | None = None) -> nn.Module:
    """An instance: of the arguments that LRA offers, those that the class declares as fields, then `options`.

    classifier_pool ("CLS") is passed only to a class that declares it without a default, so that a class's own pool
    stands. Raises: CandidateFault (interface) for a field without default that nobody offers; ValueError for an option
    that is no field.
    """
    info = settings.task_info(task)
    offered = {
        "vocab_size": info.vocab,
        "num_classes": info.classes,
        "max_len": chosen.max_length,
        "classifier": True,
        **{key: getattr(chosen, key) for key in _PASSED},
    }
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init and field.name not in _FRAME}
    options = dict(options or {})
    for name in options:
        if name not in fields:
            raise ValueError(f"{cls.__name__} has no field {name!r}; its fields: {', '.join(fields)}")
    required = {name for name, field in fields.items() if _without_default(field)}
    if "classifier_pool" in required:
        offered["classifier_pool"] = "CLS"
    unknown = sorted(required - offered.keys() - options.keys())
    if unknown:
        raise CandidateFault(
            Kind.INTERFACE,
            f"{cls.__name__} declares {', '.join(unknown)} without a default, which nothing provides: "
            f"give a default value; provided are {', '.join(offered)}",
            fields=unknown,
        )
    return cls(**{name: value for name, value in offered.items() if name in fields} | options)


def _without_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def mode(model: nn.Module, *, train: bool) -> dict[str, bool]:
    """The keyword that tells `model` whether it trains: train, or deterministic.

    Raises: CandidateFault (interface) when `__call__` takes neither, or another number of inputs.
    """
    parameters = inspect.signature(type(model).__call__).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    if "train" in parameters or inspect.Parameter.VAR_KEYWORD in kinds:
        return {"train": train}
    if "deterministic" in parameters:
        return {"deterministic": not train}
    raise CandidateFault(
        Kind.INTERFACE,
        f"{type(model).__name__}.__call__ takes no keyword train (nor deterministic): "
        "write def __call__(self, inputs, *, train: bool = False)",
    )


def _check_arity(model: nn.Module, pair: bool) -> None:
    parameters = list(inspect.signature(type(model).__call__).parameters.values())[1:]
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    places = [p for p in places if p.name not in ("train", "deterministic")]
    needed = [p.name for p in places if p.default is p.empty]
    odd = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    odd = [name for name in odd if name not in ("train", "deterministic")]
    count, words = (2, "inputs1, inputs2") if pair else (1, "inputs")
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(needed) > count or (len(places) < count and not variadic) or odd:
        got = ", ".join(p.name for p in parameters) or "nothing"
        raise CandidateFault(
            Kind.INTERFACE,
            f"{type(model).__name__}.__call__ takes ({got}); it is called with ({words}, train=...): "
            f"write def __call__(self, {words}, *, train: bool = False)",
        )


def inputs_of(batch: Mapping[str, Any]) -> tuple[Any, ...]:
    """The model's positional arguments of a batch: inputs, or inputs1 and inputs2."""
    return (batch["inputs"],) if "inputs" in batch else (batch["inputs1"], batch["inputs2"])


def initial(model: nn.Module, task: str, max_length: int, key: jax.Array) -> dict[str, Any]:
    """Fresh variables from zeros int32 [1, max_length]; a pure function of `key`."""
    zeros_1L = jnp.zeros((1, max_length), jnp.int32)
    inputs = (zeros_1L,) * (2 if settings.task_info(task).pair else 1)
    rngs = {"params": key, "dropout": jax.random.fold_in(key, 1)}
    return model.init(rngs, *inputs, **mode(model, train=False))


def apply(
    model: nn.Module, variables: Mapping[str, Any], inputs: tuple, *, dropout: jax.Array | None
) -> tuple[jax.Array, Any]:
    """Logits [B, C] and the new batch_stats: a training pass with a `dropout` key, else evaluation."""
    train = dropout is not None
    if not train:
        return model.apply(variables, *inputs, **mode(model, train=False)), variables.get("batch_stats", {})
    rngs = {"dropout": dropout}
    logits, new = model.apply(variables, *inputs, **mode(model, train=True), rngs=rngs, mutable=["batch_stats"])
    return logits, new.get("batch_stats", {})


def probe(model: nn.Module, task: str, chosen: Settings) -> Probe:
    """Runs the model on shapes alone: init, then batches of 1 and of batch_size, in training and in evaluation.

    Raises: CandidateFault (interface, init, shape) naming the line of the candidate, the shapes and the mend.
    """
    info = settings.task_info(task)
    _check_arity(model, info.pair)
    make = functools.partial(initial, model, task, chosen.max_length)
    shapes = traced(model, "init", lambda: jax.eval_shape(make, jax.random.key(0)))
    extra = sorted(set(shapes) - set(COLLECTIONS))
    if extra:
        raise CandidateFault(
            Kind.INTERFACE,
            f"variable collection {', '.join(extra)}: only params and batch_stats are trained and stored; "
            "use self.param, nn.BatchNorm, or a constant",
        )
    odd = {
        leaf.dtype for leaf in jax.tree.leaves(shapes.get("params", {})) if not jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    if odd:
        text = f"parameters of {', '.join(map(str, odd))}: only floats are trained; use a constant, or floats"
        raise CandidateFault(Kind.INTERFACE, text)
    for batch in sorted({1, chosen.batch_size}):
        inputs = (jax.ShapeDtypeStruct((batch, chosen.max_length), jnp.int32),) * (2 if info.pair else 1)
        for train in (False, True):
            _check_output(model, shapes, inputs, info.classes, train)
    return Probe(shapes=shapes, params=sum(leaf.size for leaf in jax.tree.leaves(shapes.get("params", {}))))


def _check_output(model: nn.Module, shapes: Mapping, inputs: tuple, classes: int, train: bool) -> None:
    batch = inputs[0].shape[0]

    def call(variables, *inputs):
        return apply(model, variables, inputs, dropout=jax.random.key(0) if train else None)[0]

    out = traced(model, f"train={train}", lambda: jax.eval_shape(call, shapes, *inputs))
    if getattr(out, "shape", None) == (batch, classes) and jnp.issubdtype(out.dtype, jnp.floating):
        return
    got = f"{out.dtype}{list(out.shape)}" if hasattr(out, "shape") else type(out).__name__
    hint = ": pool over length, for example a masked mean over axis 1" if getattr(out, "ndim", 0) == 3 else ""
    raise CandidateFault(
        Kind.SHAPE,
        f"the output is {got} for inputs int32{list(inputs[0].shape)}; "
        f"floating [{batch}, {classes}] (batch, num_classes) is needed{hint}",
    )


def traced(model: nn.Module, what: str, run: Callable[[], Any]) -> Any:
    """What `run` returns; an exception of the candidate's code becomes a CandidateFault, XLA's own pass."""
    filtering = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")  # the innermost frame says whether an array operation refused
    try:
        return run()
    except (CandidateFault, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        kind = Kind.OOM if isinstance(error, MemoryError) else Kind.INIT
        kind = Kind.INTERFACE if isinstance(error, _OF_THE_CONTRACT) else kind
        shape = Failure.SHAPE if _of_shapes(error) else None
        raise CandidateFault(kind, _call_message(model, what, error), failure=shape) from error
    finally:
        jax.config.update("jax_traceback_filtering", filtering)


def _of_shapes(error: Exception) -> bool:
    """Whether an array operation, or the declaration of a parameter, refused what the candidate gave it."""
    if isinstance(error, flax.errors.ScopeParamShapeError):
        return True
    refused = isinstance(error, TypeError | ValueError | IndexError) and not isinstance(error, _OF_TRACING)
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    return refused and any(f"/{place}" in innermost for place in _ARRAY_OPERATIONS)


def _call_message(model: nn.Module, what: str, error: BaseException) -> str:
    values = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.init and field.name not in _FRAME
    }
    passed = ", ".join(f"{name}={value!r}" for name, value in values.items())
    where = innermost(error, Path(inspect.getfile(type(model))))
    return (
        f"{what} raises {type(error).__name__}: {_first_lines(error)}{where}; built as {type(model).__name__}({passed})"
    )


def innermost(error: BaseException, path: Path) -> str:
    """` (model.py line 12: x @ y)` of the deepest frame in `path`; nothing when the error comes from elsewhere."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if not frames:
        return ""
    linecache.checkcache(str(path))
    return f" ({path.name} line {frames[-1].lineno}: {frames[-1].line})"


def _first_lines(error: BaseException, most: int = 600) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]} ..."


def _import_message(error: BaseException, path: Path) -> str:
    text = f"importing model.py raises {type(error).__name__}: {_first_lines(error)}{innermost(error, path)}"
    if not isinstance(error, ModuleNotFoundError):
        return text
    there = [name for name in PACKAGES if machine.version(name)]
    return f"{text}; package {error.name!r} is missing, available: {', '.join(there)} and the standard library"
