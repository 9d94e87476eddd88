"""What a table of block latencies says, as lines for a terminal."""

from collections.abc import Iterable, Iterator, Sequence

from aira_jax.scaling import latency
from aira_jax.scaling.latency import BlockTable, Point

STEADY = 0.2  # of the median: a wider range between quartiles is worth a warning


def blocks(table: BlockTable, patterns: Iterable[str] = ()) -> Iterator[str]:
    """Where it was measured, every block, then every pattern of one's own."""
    shape = f"{table.batch} x {table.length} tokens, {table.dtype}, attention {table.attention}"
    yield f"{table.device}, {table.scale}, {table.mode}, {shape}"
    for name, block in table.blocks.items():
        spread = f"{block.low_ms:.3f} to {block.high_ms:.3f}, {block.runs} runs"
        yield f"{name:3} {block.median_ms:10.3f} ms   ({spread})"
    for text in patterns:
        yield f"{table.latency_ms(text):10.2f} ms   {text}"


def warnings(table: BlockTable) -> Iterator[str]:
    """What the numbers are not worth."""
    if table.spread > STEADY:
        yield f"warning: times vary by up to {table.spread:.0%} between quartiles: leave the machine alone meanwhile"


def models(points: Sequence[Point]) -> Iterator[str]:
    """Published models with their losses, and who is on the front."""
    best = latency.front(points)
    for point in points:
        loss = "" if point.loss is None else f"published loss {point.loss:.3f}"
        front = "   on the front" if point in best else ""
        yield f"{point.latency_ms:10.2f} ms   {point.name:26} {loss}{front}".rstrip()
