"""How long each phase of a stream may take before we call it lost or refused."""

import msgspec

from midstream.streams.ending import Ending


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds; each is the limit of exactly one ending."""

    connect_s: float = 10.0
    headers_s: float = 30.0  # vLLM sends headers at once, even for a queued request (facts 1)
    first_token_s: float = 60.0
    idle_s: float = 20.0  # between two token-bearing events; SSE comments do not count
    total_s: float = 900.0

    def limit_s(self, ending: Ending) -> float | None:
        """The limit that this ending means was passed; None for endings that are no deadline."""
        return {
            Ending.CONNECT_TIMEOUT: self.connect_s,
            Ending.NO_HEADERS: self.headers_s,
            Ending.NO_FIRST_TOKEN: self.first_token_s,
            Ending.STALLED: self.idle_s,
            Ending.TIMED_OUT: self.total_s,
        }.get(ending)
