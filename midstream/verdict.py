"""Checks combined into the one answer, three-valued and closed by default."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """What a check found."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_EXAMINED = "not_examined"


class Decision(StrEnum):
    """The verdict's word."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


EXIT_CODES: dict[Decision, int] = {Decision.PASS: 0, Decision.FAIL: 1, Decision.INCONCLUSIVE: 3}
EXIT_USAGE = 2  # the command or the configuration is wrong


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question with its answer."""

    name: str
    status: Status
    observed: str
    limit: str
    why: str
    evidence: str = ""  # what the answer rests on


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a group of streams was lost, with what shows it."""

    line: str  # the whole sentence for people
    cause: str  # short name of the misconfiguration, or "unexplained"
    streams: int
    evidence: tuple[str, ...]
    mend: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a run."""

    decision: Decision = Decision.INCONCLUSIVE
    sentence: str = "INCONCLUSIVE: not judged yet"
    reasons: tuple[str, ...] = ("not judged yet",)
    checks: tuple[Check, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE."""
        return EXIT_CODES[self.decision]
