"""The plan of one test as data."""

import msgspec

from midstream.planner.demand import Demand, total
from midstream.planner.duration import Part
from midstream.planner.lengths import Length


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked of the server, how long it takes, and what does not fit."""

    main: Length  # of the longest stream
    clipped: Length  # of the one that lacks most of its wanted length
    sigterm: Length | None  # of the shortest one; None: none are added
    demands: tuple[Demand, ...]
    parts: tuple[Part, ...]
    findings: tuple[str, ...] = ()  # sentences: what does not fit, what to do

    @property
    def peak_streams(self) -> int:
        """Streams open at once, at most."""
        return sum(demand.streams for demand in self.demands)

    def kv_tokens(self, block_tokens: int) -> int:
        """Tokens that they fill of the KV cache at most."""
        return total(self.demands, block_tokens)

    @property
    def known_s(self) -> float:
        """The sum of the parts whose length can be told."""
        return sum(part.seconds for part in self.parts if part.seconds is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The parts whose length nobody can tell."""
        return tuple(part.words for part in self.parts if part.seconds is None)
