"""The open loop: when streams arrive, which no slow stream delays."""

import math
import random
from collections.abc import Iterator

import msgspec

# Chance moves the number of open streams by its square root, so steady is less than what is expected.
STEADY_SHARE = 0.7


class OpenLoop(msgspec.Struct, frozen=True, kw_only=True):
    """What was offered to the service in an open loop."""

    rate: float  # streams begun in a second, once ramped up
    ramp_up_s: float
    most_open: int
    offered: int = 0
    shed: int = 0  # not begun, as so many were open already


def offsets_s(rate: float, ramp_up_s: float, seed: int) -> Iterator[float]:
    """The arrivals of a Poisson process in seconds from its start, without end; a seed gives one sequence.

    The rate rises evenly from 0 over `ramp_up_s`. Exponential steps of unit mean are put through the inverse
    of the expected number of arrivals, which is rate t**2 / (2 ramp_up) and then rate (t - ramp_up / 2).
    """
    chance = random.Random(f"arrivals/{seed}")
    expected = 0.0
    while True:
        expected += chance.expovariate(1.0)
        ramped = rate * ramp_up_s / 2
        if expected < ramped:
            yield math.sqrt(2 * ramp_up_s * expected / rate)
        else:
            yield expected / rate + ramp_up_s / 2


def steady_open(expected: int) -> int:
    """How many of the streams expected to be open have to be, for the loop to count as steady."""
    return max(1, math.floor(STEADY_SHARE * expected))
