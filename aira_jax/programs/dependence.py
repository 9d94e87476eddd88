"""How the results of a program depend on some of its arguments, proved from its text: not at all, linearly, affinely.

Every operation has a rule for values that are marked; one without a rule makes its results `OTHER`. A proof holds for
every value of the arguments, for exact arithmetic: what a program does with its own rounding errors is not covered.
"""

import enum
import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from jax.extend.mlir import ir

from aira_jax.programs import policy

_LITERAL_ZERO = re.compile(r"dense<(0|0\.0+e\+00|\(0\.0+e\+00,0\.0+e\+00\))>")
_WIDE = ("bf16", "f16", "f32", "f64", "complex<f32>", "complex<f64>")
_DEEPEST = 64  # of calls and regions within each other


class Dependence(enum.IntFlag):
    """On the marked arguments. ZERO is a literal 0, which is linear as well as constant."""

    ZERO = 0
    CONSTANT = 1  # the same whatever they are
    LINEAR = 2
    AFFINE = 3
    OTHER = 7


States = tuple[Dependence, ...]
_ZERO, _CONSTANT, _OTHER = Dependence.ZERO, Dependence.CONSTANT, Dependence.OTHER


def of(portable: bytes, arguments: Sequence[Dependence]) -> States:
    """That of each result of a serialized StableHLO module: a marked argument is LINEAR, others CONSTANT or ZERO.

    Raises: ValueError where it is no such module.
    """
    with policy.module(portable) as module:
        functions = {ir.StringAttr(op.attributes["sym_name"]).value: op for op in module.body.operations}
        return _Reader(functions).call("main", tuple(arguments), 0)


class _Reader:
    def __init__(self, functions: Mapping[str, ir.Operation]):
        self._functions = functions
        self._known: dict[tuple[str, States], States] = {}
        self._values: dict[ir.Value, Dependence] = {}

    def call(self, name: str, arguments: States, depth: int) -> States:
        if (name, arguments) not in self._known:
            outer, self._values = self._values, {}  # a function sees its arguments alone
            self._known[name, arguments] = self._region(self._functions[name].regions[0], arguments, depth + 1)
            self._values = outer
        return self._known[name, arguments]

    def _region(self, region: ir.Region, arguments: States, depth: int) -> States:
        """The states that its only block returns."""
        (block,) = region.blocks
        if depth > _DEEPEST:
            raise ValueError(f"operations lie more than {_DEEPEST} deep in each other")
        self._values.update(zip(block.arguments, arguments, strict=True))
        *operations, last = block.operations
        for operation in operations:
            operands = tuple(self._values[value] for value in operation.operands)
            results = self._results(operation.operation, operands, depth)
            self._values.update(zip(operation.results, results, strict=True))
        return tuple(self._values[value] for value in last.operands)

    def _results(self, operation: ir.Operation, operands: States, depth: int) -> States:
        name, count = operation.name.removeprefix("stablehlo."), len(operation.results)
        match name:
            case "constant":
                return (_ZERO if _is_zero(operation) else _CONSTANT,)
            case "func.call":
                return self.call(ir.FlatSymbolRefAttr(operation.attributes["callee"]).value, operands, depth)
            case "while":
                return self._while(operation, operands, depth)
            case "case" | "if":
                branches = [self._region(region, (), depth + 1) for region in operation.regions]
                return tuple(_chosen(operands[0], *states) for states in zip(*branches, strict=True))
            case "reduce" | "reduce_window" | "scatter" | "select_and_scatter":
                return self._reduced(operation, name, operands, depth)
            case "optimization_barrier":
                return operands
            case "custom_call":
                return _custom_call(operation, operands)
            case "convert" | "reduce_precision" if _rounds_much(operation):
                return (_worst(operands),)
        if rule := _RULES.get(name):
            return (rule(*operands),)
        inside = [self._region(region, _constants(region), depth + 1) for region in operation.regions]
        return (_worst((*operands, *itertools.chain(*inside))),) * count

    def _while(self, operation: ir.Operation, states: States, depth: int) -> States:
        """Those which the body keeps."""
        test, body = operation.regions
        while True:
            after = tuple(a | b for a, b in zip(states, self._region(body, states, depth + 1), strict=True))
            if after == states:
                break
            states = after
        (going,) = self._region(test, states, depth + 1)
        return tuple(_chosen(going, state) for state in states)

    def _reduced(self, operation: ir.Operation, name: str, operands: States, depth: int) -> States:
        """Of folds by a function of (values so far, further values), both of which have the states of the results."""
        count, control = len(operation.results), _ZERO
        if name == "scatter":
            control, states = operands[count], operands[:count] + operands[count + 1 :]
        elif name == "select_and_scatter":
            control, states = operands[0], operands[1:]
        else:
            states = operands
        found = tuple(states[n] | states[n + count] for n in range(count))
        fold = operation.regions[-1]
        while True:
            after = tuple(a | b for a, b in zip(found, self._region(fold, found + found, depth + 1), strict=True))
            if after == found:
                return tuple(_chosen(control, state) for state in found)
            found = after


def _custom_call(operation: ir.Operation, operands: States) -> States:
    target = ir.StringAttr(operation.attributes["call_target_name"]).value
    if target in ("Sharding", "annotate_device_placement"):
        return operands
    if target.startswith("lapack_") and target.endswith("trsm_ffi"):
        return (_quotient(operands[1], operands[0]),)
    return (_worst(operands),) * len(operation.results)


def _constants(region: ir.Region) -> States:
    return (_CONSTANT,) * sum(len(block.arguments) for block in region.blocks)


def _rounds_much(conversion: ir.Operation) -> bool:
    """Whether numbers become something else than floats of 16 bits or more: a staircase is no line."""
    kind = ir.ShapedType(conversion.results[0].type).element_type
    return conversion.name == "stablehlo.reduce_precision" or str(kind) not in _WIDE


def _is_zero(constant: ir.Operation) -> bool:
    return _LITERAL_ZERO.search(constant.get_asm(large_elements_limit=4)) is not None


def _worst(operands: States) -> Dependence:
    """Of a function about which nothing is known."""
    return _OTHER if any(state > _CONSTANT for state in operands) else _CONSTANT


def _sum(*operands: Dependence) -> Dependence:
    found = _ZERO
    for state in operands:
        found |= state
    return found


def _product(a: Dependence, b: Dependence) -> Dependence:
    if _ZERO in (a, b):
        return _ZERO
    return max(a, b) if min(a, b) == _CONSTANT else _OTHER


def _quotient(a: Dependence, b: Dependence) -> Dependence:
    return a if b <= _CONSTANT else _OTHER


def _chosen(control: Dependence, *choices: Dependence) -> Dependence:
    return _sum(*choices) if control <= _CONSTANT else _OTHER


def _first(operand: Dependence, *control: Dependence) -> Dependence:
    return _chosen(_sum(*control), operand)


def _updated(operand: Dependence, update: Dependence, *control: Dependence) -> Dependence:
    return _chosen(_sum(*control), operand, update)


def _solved(a: Dependence, b: Dependence) -> Dependence:
    return _quotient(b, a)


_SHAPES = ("reshape", "transpose", "broadcast_in_dim", "slice", "reverse", "fft", "real", "imag", "negate", "copy")
_RULES: dict[str, Callable[..., Dependence]] = {
    **dict.fromkeys((*_SHAPES, "complex", "convert"), _sum),
    **dict.fromkeys(("add", "subtract", "concatenate", "pad"), _sum),
    **dict.fromkeys(("multiply", "dot_general", "convolution"), _product),
    **dict.fromkeys(("gather", "dynamic_slice"), _first),
    "dynamic_update_slice": _updated,
    "select": _chosen,
    "divide": _quotient,
    "triangular_solve": _solved,
}
