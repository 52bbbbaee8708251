"""What one check of a cluster found, finer than well or not: who shall act on it has to know."""

from enum import StrEnum

from midstream.rollouts.client import ForbiddenError
from midstream.rollouts.preflight import Finding


class State(StrEnum):
    """How it stands with one thing that a deployment or a test needs."""

    OK = "ok"
    PENDING = "pending"  # on its way: waiting may help
    MISSING = "missing"  # not there at all: installing helps
    UNFIT = "unfit"  # there, but not as it is needed
    UNKNOWN = "unknown"  # we may not look


class Found(Finding, frozen=True, kw_only=True):
    """A finding with its state, and the object that it rests on."""

    state: State
    source: str = ""  # NAMESPACE/NAME of what provides it; "" where nothing does


def well(check: str, words: str, *, source: str = "") -> Found:
    """The check holds."""
    return Found(check=check, ok=True, words=words, state=State.OK, source=source)


def amiss(check: str, state: State, words: str, mend: str, *, source: str = "") -> Found:
    """The check does not hold, or not yet."""
    return Found(check=check, ok=False, words=words, mend=mend, state=state, source=source)


def hidden(check: str, denied: ForbiddenError) -> Found:
    """We may not look, so it is neither there nor missing."""
    return amiss(
        check,
        State.UNKNOWN,
        f"cannot be seen with these credentials (403 for {denied.access.resource})",
        f"have it looked at by an admin, or get the rule {denied.access.rule}",
    )
