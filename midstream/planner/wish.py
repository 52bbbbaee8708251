"""What a plan is made from: what the command wants, what the server told."""

import math

import msgspec

from midstream.arrivals import OpenLoop
from midstream.lengths import prompt_bound
from midstream.promotion import Plan
from midstream.scenarios import Ask
from midstream.streams.capacity import KvCapacity
from midstream.streams.deadlines import Deadlines


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the command asks for; of `stream_seconds` and `tokens` one is given."""

    users: int
    spawn_rate: float
    asks: tuple[Ask, ...]  # every prompt that may come, with the length its scenario fixes
    stream_seconds: float | None = None
    tokens: int | None = None
    sigterm_streams: int = 0
    preview_tokens: int = 0  # of each stream that validates the new revision; 0: none does
    run_time_s: float | None = None
    wind_down_s: float = 0.0
    min_crossing: int = 0
    require_drain: bool = False
    deadlines: Deadlines = Deadlines()
    script: Plan | None = None  # None: a plain load
    open_loop: OpenLoop | None = None  # None: each user holds one stream after another


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the server told, the pace as of now."""

    tokens_per_s: float  # of one stream
    context_tokens: int | None = None  # prompt and answer together; None: not told
    capacity: KvCapacity | None = None  # of each pod; None: not told
    prompt_tokens: dict[str, int] = msgspec.field(default_factory=dict)  # of the prompts that it has counted
    pods: int = 1
    became_ready_s: float | None = None  # what the pods that serve now took to get ready

    def prompt_most(self, ask: Ask) -> int:
        """The tokens of its prompt: counted, else at most."""
        return self.prompt_tokens.get(ask.prompt, prompt_bound(ask.prompt))

    def room(self, ask: Ask) -> int | None:
        """The longest answer that fits behind its prompt, one token at least; None: not told."""
        return None if self.context_tokens is None else max(1, self.context_tokens - self.prompt_most(ask))


def open_at_once(wish: Wish, tokens_per_s: float) -> int:
    """How many main streams are open once the load is steady; in an open loop by Little's law."""
    loop = wish.open_loop
    if loop is None:
        return wish.users
    seconds = wish.stream_seconds or (wish.tokens or 1) / tokens_per_s
    return max(1, min(loop.most_open, math.ceil(loop.rate * seconds)))
