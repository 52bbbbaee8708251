"""Waiting for a Rollout: what changes is said, until it stands as wanted or waiting makes no sense."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from midstream.reports.standing_page import block_lines, headline, repeats
from midstream.rollouts.client import Cluster, UnreachableError
from midstream.rollouts.look import last_lines, look
from midstream.rollouts.named import NoRolloutError, RolloutName
from midstream.rollouts.patience import NS_PER_S, Seen, hopeless, seen_now
from midstream.rollouts.standing import Standing

POLL_S = 1.0
SAY_EVERY_S = 15.0  # a log that is silent for longer looks like a hang


class End(StrEnum):
    """How the waiting ended."""

    REACHED = "reached"
    HOPELESS = "hopeless"
    GONE = "gone"  # the Rollout was deleted meanwhile
    TOO_LATE = "too late"


class Waited(NamedTuple):
    """What the waiting came to."""

    end: End
    standing: Standing | None  # as seen last; None: never seen
    why: str  # one line; empty when it was reached


def wait_until(
    cluster: Cluster,
    name: RolloutName,
    reached: Callable[[Standing], bool],
    *,
    limit_s: float,
    say: Callable[[str], None],
    poll_s: float = POLL_S,
) -> Waited:
    """Look again and again; an API server that is away for a while is waited for, too.

    `say` gets single lines: each obstacle as soon as it is seen, with its log, and a line whenever
    something changes, at least every SAY_EVERY_S.
    """
    began_ns = time.monotonic_ns()
    teller = _Teller(say, began_ns)
    standing: Standing | None = None
    seen: Seen = {}
    while True:
        now_ns = time.monotonic_ns()
        try:
            standing = look(cluster, name)
        except UnreachableError as error:
            teller.tell(str(error), now_ns)
        except NoRolloutError as error:
            return Waited(End.GONE, standing, str(error))
        else:
            if reached(standing):
                return Waited(End.REACHED, standing, "")
            teller.tell(headline(standing), now_ns)
            _say_new_blocks(cluster, name, standing, seen, say)
            seen = seen_now(standing, seen, now_ns)
            if why := hopeless(standing, seen, now_ns):
                return Waited(End.HOPELESS, standing, why)
        if now_ns - began_ns >= limit_s * NS_PER_S:
            return Waited(End.TOO_LATE, standing, f"not there after {limit_s:g} s")
        time.sleep(poll_s)


class _Teller:
    """Says a line when it differs from the last one, or when that is long ago."""

    def __init__(self, say: Callable[[str], None], began_ns: int) -> None:
        self._say = say
        self._began_ns = began_ns
        self._last = ""
        self._said_ns = began_ns

    def tell(self, words: str, now_ns: int) -> None:
        """Say it, with the time that has passed."""
        if words != self._last or now_ns - self._said_ns >= SAY_EVERY_S * NS_PER_S:
            self._say(f"{(now_ns - self._began_ns) / NS_PER_S:4.0f} s  {words}")
            self._last, self._said_ns = words, now_ns


def _say_new_blocks(
    cluster: Cluster, name: RolloutName, standing: Standing, seen: Seen, say: Callable[[str], None]
) -> None:
    new = [
        block for block in standing.blocks if block.key not in seen and not repeats(block, standing.message)
    ]
    logs = last_lines(cluster, name.namespace, new)
    for block in new:
        for line in block_lines(block, logs):
            say(f"        {line}")
