"""How many tokens of a KV cache streams need at most."""

from collections.abc import Iterable

import msgspec


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Streams of one kind, open at once."""

    what: str
    streams: int
    tokens_each: int  # prompt and answer, at the answer's end

    def needed(self, block_tokens: int) -> int:
        """Tokens that all of them fill at most: each takes whole blocks."""
        return self.streams * whole_blocks(self.tokens_each, block_tokens)


def whole_blocks(tokens: int, block_tokens: int) -> int:
    """The tokens of the blocks that so many tokens take."""
    return -(-tokens // block_tokens) * block_tokens


def total(demands: Iterable[Demand], block_tokens: int) -> int:
    """What all of them fill at most."""
    return sum(demand.needed(block_tokens) for demand in demands)
