"""Shape specifications: the static facts of a call on which dispatch, tuning and the roofline depend.

B batch, L time, H heads, P head dim, G groups, N state dim, W conv width, K channels, F flattened state, c chunks,
T tokens, d model dim, V vocabulary.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class _Spec:
    def key(self) -> str:
        """Stable text form of what decides the speed, the key of the tuned table."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("chunk", "segments")]
        return ",".join(f"{name}={getattr(self, name)}" for name in names)


@dataclasses.dataclass(frozen=True)
class ScanSpec(_Spec):
    """A state_scan call: decay [B,c,H], states [B,c,H,F]."""

    B: int
    c: int
    H: int
    F: int
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class SsdSpec(_Spec):
    """An ssd call: x [B,L,H,P], B and C [B,L,G,N]; chunk None leaves the choice to dispatch."""

    B: int
    L: int
    H: int
    P: int
    G: int
    N: int
    dtype: str = "float32"
    chunk: int | None = None
    segments: bool = False


@dataclasses.dataclass(frozen=True)
class ConvSpec(_Spec):
    """A causal_conv1d call: x [B,L,K], w [W,K]."""

    B: int
    L: int
    K: int
    W: int
    dtype: str = "float32"
    segments: bool = False


@dataclasses.dataclass(frozen=True)
class NormSpec(_Spec):
    """A gated_rmsnorm call on T rows of K channels."""

    T: int
    K: int
    groups: int = 1
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class XentSpec(_Spec):
    """A linear_xent call: h [T,d], table [V,d], token blocks of `block`."""

    T: int
    d: int
    V: int
    block: int = 8192
    dtype: str = "float32"
