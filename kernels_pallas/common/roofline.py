"""Work and floors: multiply-adds, least memory traffic, and the time that a device's peaks allow.

Floors count what the mathematics needs: every input read once, every output written once, the causal half of the
products within a chunk.
B batch, L time, H heads, P head dim, G groups, N state dim, Q chunk, T tokens, K channels, V vocabulary.
"""

import dataclasses

import jax.numpy as jnp

from kernels_pallas.common.specs import ConvSpec, NormSpec, ScanSpec, SsdSpec, XentSpec


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Dense bfloat16 FLOP/s and memory bytes/s of a device. Source: NVIDIA's data sheets of the H100 and H200."""

    flops: float
    bytes: float


PEAKS = {
    "NVIDIA H200": Peaks(989e12, 4.8e12),
    "NVIDIA H100 80GB HBM3": Peaks(989e12, 3.35e12),
}


@dataclasses.dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes of one call, forward and backward."""

    forward_flops: float
    forward_bytes: float
    backward_flops: float
    backward_bytes: float

    def floor_us(self, peaks: Peaks) -> tuple[float, float]:
        """Least microseconds (forward, backward): the larger of the compute and the memory time."""
        forward = max(self.forward_flops / peaks.flops, self.forward_bytes / peaks.bytes)
        backward = max(self.backward_flops / peaks.flops, self.backward_bytes / peaks.bytes)
        return forward * 1e6, backward * 1e6


def peaks(device_kind: str) -> Peaks | None:
    """The peaks of a known device, else None."""
    return PEAKS.get(device_kind)


def work(spec, chunk: int | None = None) -> Work:
    """The work of one call; `chunk` is needed for ssd."""
    return _WORK[type(spec)](spec, chunk)


def _ssd(s: SsdSpec, q: int) -> Work:
    inner, tokens, size = s.H * s.P, s.B * s.L, jnp.dtype(s.dtype).itemsize
    products, within, states = q * s.N * s.G, q * inner, 2 * s.N * inner
    shared, steps = s.G * s.N * size, 4 * s.H
    return Work(
        forward_flops=tokens * (products + within + 2 * states),
        forward_bytes=tokens * (2 * inner * size + 2 * shared + steps),
        backward_flops=tokens * (3 * products + 3 * within + 5 * states),
        backward_bytes=tokens * (3 * inner * size + 4 * shared + 2 * steps),
    )


def state_bytes(s: SsdSpec, q: int) -> int:
    """Bytes of the float32 states of all chunks."""
    return s.B * -(-s.L // q) * s.H * s.P * s.N * 4


def _scan(s: ScanSpec, _) -> Work:
    elements = s.B * s.c * s.H * s.F
    return Work(2 * elements, 8 * elements, 4 * elements, 12 * elements)


def _conv(s: ConvSpec, _) -> Work:
    elements, size = s.B * s.L * s.K, jnp.dtype(s.dtype).itemsize
    return Work(2 * s.W * elements, 2 * size * elements, 6 * s.W * elements, 3 * size * elements)


def _norm(s: NormSpec, _) -> Work:
    elements, size = s.T * s.K, jnp.dtype(s.dtype).itemsize
    return Work(8 * elements, 3 * size * elements, 20 * elements, 5 * size * elements)


def _xent(s: XentSpec, _) -> Work:
    size, product = jnp.dtype(s.dtype).itemsize, 2 * s.T * s.d * s.V
    inputs = (s.T * s.d + s.V * s.d) * size
    return Work(product, inputs, 3 * product, 2 * inputs + 2 * s.V * s.d)


_WORK = {SsdSpec: _ssd, ScanSpec: _scan, ConvSpec: _conv, NormSpec: _norm, XentSpec: _xent}


@dataclasses.dataclass(frozen=True)
class Block:
    """Dims of a whole Mamba-2 block: model dim d, H heads of P, G groups, state N, conv width W."""

    d: int
    H: int
    N: int
    P: int = 64
    G: int = 1
    W: int = 4

    @property
    def inner(self) -> int:
        return self.H * self.P

    @property
    def projected(self) -> int:
        """Width of the input projection [z | x | B | C | dt]."""
        return 2 * self.inner + 2 * self.G * self.N + self.H

    @property
    def channels(self) -> int:
        """Channels of the convolution [x | B | C]."""
        return self.inner + 2 * self.G * self.N

    @property
    def parameters(self) -> int:
        projections = self.d * self.projected + self.inner * self.d
        return projections + (self.W + 1) * self.channels + 3 * self.H + self.inner

    @property
    def train_flops_per_token(self) -> int:
        """Convention of arXiv 2605.15871 (6 per weight, forward and backward), for MFU; not the true count of ssd."""
        projections = 6 * self.d * self.projected + 6 * self.inner * self.d
        return projections + 6 * self.W * self.channels + 12 * self.inner * self.N


BLOCKS = {
    "small": Block(d=128, H=4, N=16),
    "350M": Block(d=1536, H=48, N=128),
    "1B": Block(d=2048, H=64, N=128),
    "3B": Block(d=3072, H=96, N=256),
}
