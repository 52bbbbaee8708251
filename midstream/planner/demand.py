"""How many tokens of a KV cache streams need at most."""

from collections.abc import Iterable

import msgspec

from midstream.lengths import CHAT_TEMPLATE_TOKENS
from midstream.scenarios import Ask


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Streams of one kind, open at once."""

    what: str
    streams: int
    tokens_each: (
        int  # prompt and answer, at the answer's end; prompts by their bytes, which bound their tokens
    )

    def needed(self, block_tokens: int) -> int:
        """Tokens that all of them fill at most: each takes whole blocks."""
        return self.streams * whole_blocks(self.tokens_each, block_tokens)


def whole_blocks(tokens: int, block_tokens: int) -> int:
    """The tokens of the blocks that so many tokens take."""
    return -(-tokens // block_tokens) * block_tokens


def prompt_bound(ask: Ask) -> int:
    """The tokens of a prompt at most, its chat template with it."""
    return len(ask.prompt.encode()) + CHAT_TEMPLATE_TOKENS


def total(demands: Iterable[Demand], block_tokens: int) -> int:
    """What all of them fill at most."""
    return sum(demand.needed(block_tokens) for demand in demands)
