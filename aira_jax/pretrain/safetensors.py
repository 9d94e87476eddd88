"""Files of named arrays that any framework maps into memory.

The format: 8 bytes, the little-endian size of a JSON header; the header, name -> dtype, shape, begin and end; the
arrays, C order, one after the other.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError for an array whose dtype has no name in `DTYPES`."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, value in tensors.items():
        if value.dtype not in _NAMES:
            raise ValueError(f"{name} is {value.dtype}: safetensors are written as {', '.join(map(str, _NAMES))}")
        offsets = [end, end := end + value.nbytes]
        header[name] = {"dtype": _NAMES[value.dtype], "shape": value.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            file.write(np.ascontiguousarray(value).data)


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays, mapped from the file. Raises ValueError for a file that is cut short or of another dtype."""
    whole = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(whole[:8].tobytes(), "little")
    start = 8 + size
    if start > len(whole):
        raise ValueError(f"{path}: the header of {size} bytes is cut short; copy the file again")
    found = {}
    for name, entry in json.loads(whole[8:start].tobytes()).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} is {entry['dtype']}; this reads {', '.join(DTYPES)}")
        begin, end = entry["data_offsets"]
        if start + end > len(whole):
            raise ValueError(f"{path}: {name} ends at byte {start + end}, the file at {len(whole)}; copy it again")
        found[name] = whole[start + begin : start + end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return found
