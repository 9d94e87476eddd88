"""Small changes of a layer sequence: substitute, swap, copy a block, cross two."""

Layers = tuple[str, ...]


def substitute(layers: Layers, primitives: Layers, rng) -> Layers:
    """One layer becomes another primitive."""
    at = int(rng.integers(len(layers)))
    others = [p for p in primitives if p != layers[at]]
    return (*layers[:at], others[int(rng.integers(len(others)))], *layers[at + 1 :])


def swap(layers: Layers, rng) -> Layers:
    """Two layers change places; they may be equal, or one and the same."""
    i, j = int(rng.integers(len(layers))), int(rng.integers(len(layers)))
    swapped = list(layers)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    return tuple(swapped)


def copy_block(layers: Layers, rng) -> Layers:
    """A block of two layers to half of them is written over another place."""
    length = min(2 + int(rng.integers(max(1, len(layers) // 2 - 1))), len(layers))
    source, target = (int(rng.integers(len(layers) - length + 1)) for _ in range(2))
    return layers[:target] + layers[source : source + length] + layers[target + length :]


def mutate(layers: Layers, primitives: Layers, rng) -> Layers:
    """One of the three changes above; one layer is substituted where it changed nothing."""
    kind = int(rng.integers(3))
    if kind == 0:
        return substitute(layers, primitives, rng)
    new = swap(layers, rng) if kind == 1 else copy_block(layers, rng)
    return new if new != layers else substitute(layers, primitives, rng)


def cross(head: Layers, tail: Layers, rng) -> Layers:
    """The beginning of one sequence and the end of another of equal length."""
    cut = 1 + int(rng.integers(max(1, len(head) - 1)))
    return head[:cut] + tail[cut:]
