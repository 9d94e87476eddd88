"""The text of an optimised HLO module as data: instructions, how often each runs, bytes, FLOPs and collectives.

Bytes count every operand of a kernel once and every result once; of an operand that a fusion only slices, the slices.
What a kernel reads twice past the caches comes on top, so that sums are floors.
"""

import dataclasses
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16, "token": 0, "opaque": 0}
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\]")
_NAME = re.compile(r"%([\w.\-]+)")
COLLECTIVES = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute",
    "collective-broadcast",
)  # fmt: skip
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id",
    "opt-barrier", "domain", "while", "call", "conditional", "async-start", "async-update", "async-done", "iota-free",
}  # fmt: skip
_EXP = {"exponential", "exponential-minus-one", "log", "log-plus-one", "logistic", "tanh", "power", "rsqrt", "sqrt",
        "sine", "cosine", "tan", "erf", "cbrt"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of a shape."""

    dtype: str
    dims: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        return -(-self.elements * _bits(self.dtype) // 8)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation. `attributes` is the text behind the operands."""

    name: str
    opcode: str
    shape: str
    operands: tuple[str, ...]
    attributes: str

    @functools.cached_property
    def arrays(self) -> tuple[Array, ...]:
        return arrays(self.shape)

    @property
    def bytes(self) -> int:
        return sum(array.bytes for array in self.arrays)

    def called(self, attribute: str) -> str | None:
        """The computation of `calls=`, `body=`, `to_apply=`, .."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        return found and found[1]

    @property
    def target(self) -> str | None:
        """Of a custom call."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found and found[1]


@dataclasses.dataclass(frozen=True)
class Collective:
    """Messages of one kind, size and span. `bytes` is the size before scattering or after gathering, on one device;
    `group` counts the devices that take part, `hosts` the machines they sit on."""

    kind: str
    dtype: str
    bytes: int
    group: int
    hosts: int
    count: int

    @property
    def span(self) -> str:
        return "node" if self.hosts == 1 else "cross-node"


@dataclasses.dataclass(frozen=True)
class Step:
    """An instruction that runs on the device `count` times; FLOPs and exponentials of one run, by unit."""

    name: str
    opcode: str
    count: int
    bytes: int
    flops: tuple[tuple[str, float], ...] = ()  # unit ("tensor", "tf32", "float32", "float64", "exp") -> operations
    collective: Collective | None = None


def messages(steps: Iterable[Step]) -> tuple[Collective, ...]:
    """The collectives of a program: equal ones counted together, the largest first."""
    counts: Counter[Collective] = Counter()
    for one in (step.collective for step in steps if step.collective):
        counts[dataclasses.replace(one, count=0)] += one.count
    merged = [dataclasses.replace(one, count=count) for one, count in counts.items()]
    return tuple(sorted(merged, key=lambda one: -one.bytes * one.count))


def arrays(shape: str) -> tuple[Array, ...]:
    """All arrays of a shape, tuples flattened."""
    found = _ARRAY.findall(shape)
    return tuple(Array(d, tuple(int(n.lstrip("<=")) for n in dims.split(",") if n)) for d, dims in found)


def _bits(dtype: str) -> int:
    if dtype in _BYTES:
        return 8 * _BYTES[dtype]
    return int(re.match(r"[a-z]+(\d+)", dtype)[1])


class Module:
    """A parsed module. ValueError when `text` holds no entry computation."""

    def __init__(self, text: str):
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry, current = None, None
        for line in text.splitlines():
            if line.endswith("{") and "(" in line and " = " not in line.split("(", 1)[0]:
                name = line.removeprefix("ENTRY ").strip().split("(", 1)[0].split()[0].lstrip("%")
                current = self.computations[name] = {}
                self.entry = name if line.startswith("ENTRY") else self.entry
            elif line.startswith("}"):
                current = None
            elif current is not None and (found := _instruction(line)):
                current[found.name] = found
        if self.entry is None:
            raise ValueError("no ENTRY computation: the text is no HLO module")

    def runs(self, computation: str | None = None, count: int = 1) -> Iterator[tuple[str, Instruction, int]]:
        """(computation, instruction, how often it runs) in the order of the schedule; loops of unknown length count
        once, conditionals with all their branches."""
        name = computation or self.entry
        for found in self.computations.get(name, {}).values():
            yield name, found, count
            times = count * (trips(found) or 1) if found.opcode == "while" else count
            for called in _bodies(found):
                yield from self.runs(called, times)

    def steps(self, devices_per_host: int = 10**9, world: int = 1) -> list[Step]:
        """What runs on a device, with its costs; free instructions are left out."""
        found = []
        for computation, item, count in self.runs():
            if item.opcode in _FREE or item.opcode.endswith(("-done", "-update")):
                continue
            message = self._collective(computation, item, count, devices_per_host, world)
            size = self._bytes(computation, item) if message is None else 0
            flops = tuple(sorted(self._flops(computation, item).items()))
            found.append(Step(item.name, item.opcode, count, size, flops, message))
        return found

    def unknown_loops(self) -> list[str]:
        """Loops without a known trip count: they are counted once."""
        return [i.name for _, i, _ in self.runs() if i.opcode == "while" and trips(i) is None]

    def custom_calls(self) -> dict[str, int]:
        """Target -> how often it runs."""
        found = Counter()
        for _, item, count in self.runs():
            if item.opcode == "custom-call":
                found[item.target] += count
        return dict(found)

    def _operands(self, computation: str, item: Instruction) -> list[Instruction]:
        table = self.computations[computation]
        return [table[name] for name in item.operands if name in table]

    def _collective(self, computation, item, count, devices_per_host, world) -> Collective | None:
        kind = item.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            return None
        groups = replica_groups(item.attributes, world)
        group = max((len(g) for g in groups), default=world)
        hosts = max((len({d // devices_per_host for d in g}) for g in groups), default=1)
        given = [array for operand in self._operands(computation, item) for array in operand.arrays]
        size = sum(array.bytes for array in given) * (group if kind == "all-gather" else 1)
        return Collective(kind, given[0].dtype if given else "token", size, group, hosts, count)

    def _bytes(self, computation: str, item: Instruction) -> int:
        if item.opcode == "fusion":
            return self._fusion_bytes(computation, item)
        read = sum(operand.bytes for operand in self._operands(computation, item))
        if item.opcode in ("dynamic-slice", "slice", "gather"):
            return 2 * item.bytes
        if item.opcode == "dynamic-update-slice":
            return 2 * self._operands(computation, item)[1].bytes
        if item.opcode.startswith("copy-start"):
            return 2 * read
        return read + item.bytes - _aliased(item, self._operands(computation, item))

    def _fusion_bytes(self, computation: str, item: Instruction) -> int:
        """Operands and results once; slices instead of what they are cut from, updates instead of the updated."""
        inside = self.computations.get(item.called("calls"), {})
        users: dict[str, list[Instruction]] = {}
        for user in inside.values():
            for name in user.operands:
                users.setdefault(name, []).append(user)
        total = sum(self._result_bytes(inside, root) for root in _roots(inside)) or item.bytes
        parameters = [i for i in inside.values() if i.opcode == "parameter"]
        return total + sum(_read(parameter, users) for parameter in parameters)

    def _result_bytes(self, inside, root: Instruction) -> int:
        while root.opcode == "bitcast" and root.operands[0] in inside:
            root = inside[root.operands[0]]
        if root.opcode == "dynamic-update-slice" and root.operands[1] in inside:
            return inside[root.operands[1]].bytes
        return root.bytes

    def _flops(self, computation: str, item: Instruction) -> Counter:
        found = Counter()
        if item.opcode == "fusion":
            called = item.called("calls")
            for inner in self.computations.get(called, {}).values():
                found.update(self._flops(called, inner))
        elif item.opcode in ("dot", "convolution"):
            operands = self._operands(computation, item)
            found[_unit(operands, item)] += 2 * item.arrays[0].elements * _contracted(operands[0], item.attributes)
        elif item.opcode == "custom-call":
            found.update(_library_flops(item, self._operands(computation, item)))
        elif item.opcode in _EXP:
            found["exp"] += item.arrays[0].elements
        return found


def trips(loop: Instruction) -> int | None:
    """How often the body of a while loop runs, if the compiler knows."""
    found = re.search(r'known_trip_count\D*"n":"(\d+)"', loop.attributes)
    return int(found[1]) if found else None


def replica_groups(attributes: str, world: int) -> list[list[int]]:
    """The devices of every group; `{{0,1},{2,3}}`, `[2,8]<=[16]`, `[8,2]<=[2,8]T(1,0)`, the form with a mesh, and the
    pairs of a permutation. Without groups: all devices in one."""
    if pairs := re.search(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}", attributes):
        return [list(map(int, pair)) for pair in re.findall(r"\{(\d+),(\d+)\}", pairs[1])]
    if explicit := re.search(r"replica_groups=\{((?:\{[\d,]*\},?)+)\}", attributes):
        return [[int(n) for n in group.split(",") if n] for group in re.findall(r"\{([\d,]*)\}", explicit[1])]
    if tiled := re.search(r"replica_groups=\[([\d,]+)\](<=\[[\d,]+\](?:T\([\d,]+\))?)", attributes):
        return _ids(tiled[2]).reshape(_ints(tiled[1])).tolist()
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(([^)]*\)?)\))? \{([^}]*)\}", attributes):
        return _mesh_groups(mesh[1], mesh[2], mesh[3])
    return [list(range(world))]


def _mesh_groups(axes: str, device_ids: str | None, over: str) -> list[list[int]]:
    sizes = {name: int(size) for name, size in re.findall(r"'?([\w.]+)'?=(\d+)", axes)}
    ids = np.arange(math.prod(sizes.values()))
    if device_ids:
        shaped = re.match(r"\[([\d,]+)\](?:T\(([\d,]+))?", device_ids)
        if shaped:
            ids = ids.reshape(_ints(shaped[1])).transpose(_ints(shaped[2]) if shaped[2] else None).reshape(-1)
        else:
            ids = np.array(_ints(device_ids))
    dims, grouped = [], []
    taken = re.findall(r"'?([\w.]+)'?(?::\((\d+)\)(\d+))?", over)
    for name, size in sizes.items():
        part = next(((int(before), int(own)) for axis, before, own in taken if axis == name and own), None)
        split = (part[0], part[1], size // part[0] // part[1]) if part else (size,)
        inside = [len(dims) + 1] if part else [len(dims)] if any(axis == name for axis, _, _ in taken) else []
        dims, grouped = [*dims, *split], [*grouped, *inside]
    rest = [i for i in range(len(dims)) if i not in grouped]
    width = math.prod(dims[i] for i in grouped)
    return ids.reshape(dims).transpose([*rest, *grouped]).reshape(-1, width).tolist()


def _ids(text: str) -> np.ndarray:
    """Device ids of `<=[2,8]T(1,0)`."""
    dims, order = re.match(r"<=\[([\d,]+)\](?:T\(([\d,]+)\))?", text).groups()
    ids = np.arange(math.prod(_ints(dims))).reshape(_ints(dims))
    return ids.transpose(_ints(order)) if order else ids


def _ints(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]


def _instruction(line: str) -> Instruction | None:
    head, found, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    if not found:
        return None
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.find(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opcode, found, _ = rest.partition("(")
    if not found:
        return None
    close = _closing(rest, len(opcode))
    operands = tuple(_NAME.findall(rest[len(opcode) : close]))
    root = " ROOT" if line.lstrip().startswith("ROOT ") else ""
    return Instruction(head.lstrip("%"), opcode, shape, operands, rest[close + 1 :] + root)


def _closing(text: str, start: int) -> int:
    """The place of the parenthesis that closes the one at `start`."""
    depth = 0
    for place in itertools.count(start):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place


def _bodies(item: Instruction) -> list[str]:
    """Computations whose instructions are launched one by one."""
    match item.opcode:
        case "while":
            return [item.called("body")]
        case "call" | "async-start":
            return [item.called("to_apply") or item.called("calls")]
        case "conditional":
            branches = re.search(r"branch_computations=\{([^}]*)\}", item.attributes)
            pair = [item.called("true_computation"), item.called("false_computation")]
            return _NAME.findall(branches[1]) if branches else [name for name in pair if name]
    return []


def _roots(inside: dict[str, Instruction]) -> list[Instruction]:
    root = next((i for i in inside.values() if i.attributes.endswith(" ROOT")), None)
    if root is None:
        return []
    return [inside[name] for name in root.operands] if root.opcode == "tuple" else [root]


def _read(parameter: Instruction, users: dict[str, list[Instruction]]) -> int:
    """Bytes that a fusion reads of one operand."""
    total = 0
    for user in users.get(parameter.name, []):
        if user.opcode in ("dynamic-slice", "slice", "gather") and user.operands[0] == parameter.name:
            total += user.bytes
        elif user.opcode == "bitcast":
            total += _read(user, users)
        elif not (user.opcode == "dynamic-update-slice" and user.operands[0] == parameter.name):
            return parameter.bytes
    return min(total, parameter.bytes)


def _aliased(item: Instruction, operands: list[Instruction]) -> int:
    """Bytes of results that are operands, updated in place by a custom call: neither read nor written as a whole."""
    pairs = (
        re.findall(r"\{[\d, ]*\}: \((\d+), \{\}", item.attributes)
        if "output_to_operand_aliasing" in item.attributes
        else []
    )
    return sum(operands[int(i)].bytes for i in pairs if int(i) < len(operands))


def _contracted(left: Instruction, attributes: str) -> int:
    dims = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", attributes)
    return math.prod(left.arrays[0].dims[i] for i in _ints(dims[1])) if dims else 1


def _unit(operands: list[Instruction], item: Instruction) -> str:
    """The unit of a matrix product: float32 runs as TF32 unless the highest precision is asked for."""
    dtype = operands[0].arrays[0].dtype
    if dtype == "f64":
        return "float64"
    if dtype == "f32":
        return (
            "float32"
            if "operand_precision={highest" in item.attributes or "algorithm=dot_f32" in item.attributes
            else "tf32"
        )
    return "tensor"


def _library_flops(item: Instruction, operands: list[Instruction]) -> Counter:
    """Products of cuBLAS and attention of cuDNN (causal: half of the products)."""
    found, target = Counter(), item.target or ""
    if target.startswith("__cublas$"):
        dims = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', item.attributes)
        contracted = [int(n) for n in re.findall(r"\d+", dims[1])] if dims else []
        inner = math.prod(operands[0].arrays[0].dims[i] for i in contracted)
        found[_unit(operands, item)] += 2 * item.arrays[0].elements * inner
    elif target.startswith("__cudnn$fmha"):
        query, key = operands[0].arrays[0].dims, operands[1].arrays[0].dims
        causal = 2 if '"mask_type":"CAUSAL"' in item.attributes else 1
        products = 5 if "Backward" in target else 2
        found["tensor"] += products * 2 * math.prod(query) * max(key[1], key[-2] if len(key) == 3 else 0) / causal
    return found
