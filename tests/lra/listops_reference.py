"""ListOps samples written as plainly as possible: what the vectorised generator must give."""

from lra.data import listops, philox


def reference_sample(
    seed: int, split: philox.Tag, index: int, params: listops.Params = listops.OFFICIAL
) -> tuple[list[int], int]:
    """Sample `index` of a split, written as plainly as possible: (token ids, trees drawn). Slow."""
    words, position = philox.Words(seed, split), 0
    buffer: list[int] = []

    def word() -> int:
        nonlocal position
        if position == len(buffer):
            buffer.extend(words.block(index, 4096, start=position).tolist())
        position += 1
        return buffer[position - 1]

    def below(n: int) -> int:
        return ((word() >> 32) * n) >> 32

    def tree(depth: int) -> list[int]:
        if depth == params.max_depth or (word() >> 11) * 2.0**-53 > listops.DIGIT_ABOVE:
            return [1 + below(10)]
        children, operator = 2 + below(params.max_args - 1), below(4)
        return [
            listops.FIRST_OPERATOR + operator,
            *(t for _ in range(children) for t in tree(depth + 1)),
            listops.CLOSE,
        ]

    for drawn in range(1, listops.MAX_TREES + 1):
        ids = tree(1)
        if params.min_length < len(ids) < params.max_length:
            return ids, drawn
    raise params.nothing_accepted()
