"""Ways to cut bytes into pieces: what a parser says must not depend on them."""

import random
from collections.abc import Iterator
from itertools import pairwise


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    """The pieces between those places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def every_way(data: bytes, seed: int = 7) -> Iterator[list[bytes]]:
    """Whole, byte by byte, at random places (few cuts, many cuts)."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    chance = random.Random(seed)
    for cuts in (2, 5, 40):
        yield cut_at(data, [chance.randrange(1, len(data)) for _ in range(cuts)] if len(data) > 1 else [])
