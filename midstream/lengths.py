"""How many tokens a stream asks for, so that it lasts as long as wanted."""

from collections import deque
from statistics import median

from midstream.streams.ending import Outcome
from midstream.streams.record import StreamRecord

NS_PER_S = 1_000_000_000
RECENT_STREAMS = 50
CHAT_TEMPLATE_TOKENS = 64  # what a chat template may add around one user message
MIN_TOKENS = 8


class Pace:
    """The server's tokens per second and stream: the median of recent streams, the probe's before those."""

    def __init__(self, probed_tokens_per_s: float) -> None:
        self._recent: deque[float] = deque([probed_tokens_per_s], maxlen=RECENT_STREAMS)

    @property
    def tokens_per_s(self) -> float:
        """What one stream gets at present."""
        return median(self._recent)

    def learn(self, record: StreamRecord) -> None:
        """Take in a stream that is over; only a complete one tells the pace."""
        pace = tokens_per_s(record)
        if record.outcome is Outcome.COMPLETE and pace is not None:
            self._recent.append(pace)


def tokens_per_s(record: StreamRecord) -> float | None:
    """1 / TPOT: (tokens - 1) / (last token - first token); None where that has no meaning."""
    tpot_ns = record.tpot_ns
    return NS_PER_S / tpot_ns if tpot_ns else None


def tokens_for(seconds: float, tokens_per_s: float) -> int:
    """The tokens that last so long at that pace."""
    return max(MIN_TOKENS, round(seconds * tokens_per_s))


def prompt_bound(prompt: str) -> int:
    """The tokens of a prompt at most: each stands for one byte or more; a chat template comes on top."""
    return len(prompt.encode()) + CHAT_TEMPLATE_TOKENS
