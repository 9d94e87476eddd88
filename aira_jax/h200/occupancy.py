"""How many blocks of a kernel fit on one multiprocessor, and what limits them.

Source: CUDA C programming guide, compute capability 9.0: registers are given out to warps in units of 256, one quarter
of a multiprocessor at a time; shared memory in units of 128 bytes.
"""

import dataclasses

from aira_jax.h200.devices import Gpu


class LaunchError(ValueError):
    """A kernel that no multiprocessor can hold."""


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """Blocks of one kernel on one multiprocessor at the same time."""

    blocks: int
    limiter: str  # "registers", "shared memory", "warps" or "blocks"


def occupancy(gpu: Gpu, name: str, *, registers: int, shared: int, warps: int) -> Occupancy:
    """From registers of a thread, bytes of shared memory and warps of a block. LaunchError where nothing fits."""
    of_warp = -(-registers * 32 // 256) * 256
    if shared > gpu.shared_of_block:
        raise LaunchError(
            f"kernel {name} cannot be launched: {shared} bytes of shared memory a block, of {gpu.shared_of_block}; "
            "use smaller tiles or fewer stages"
        )
    if of_warp * warps > gpu.registers:
        raise LaunchError(
            f"kernel {name} cannot be launched: {registers} registers x {32 * warps} threads exceed the "
            f"{gpu.registers} of a multiprocessor; use smaller tiles or fewer warps"
        )
    fits = {
        "registers": gpu.registers // 4 // max(of_warp, 256) * 4 // warps,
        "shared memory": gpu.shared // (-(-shared // 128) * 128 + 1024),
        "warps": gpu.warps // warps,
        "blocks": gpu.blocks,
    }
    limiter = min(fits, key=fits.get)
    return Occupancy(fits[limiter], limiter)
