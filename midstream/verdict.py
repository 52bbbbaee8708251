"""Checks combined into the one answer, three-valued and closed by default."""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from midstream.causes import Cause, find_causes
from midstream.checks import QUESTIONS, examine
from midstream.checks.check import Check, Status, bound
from midstream.cohorts import Cohort, Cohorts, read_cohorts
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Lane

__all__ = ["EXIT_CODES", "EXIT_USAGE", "Cause", "Check", "Decision", "Status", "Verdict", "decide", "judge"]


class Decision(StrEnum):
    """The verdict's word."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


EXIT_CODES: dict[Decision, int] = {Decision.PASS: 0, Decision.FAIL: 1, Decision.INCONCLUSIVE: 3}
EXIT_USAGE = 2  # the command or the configuration is wrong


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


# Strongest first: each check has dropped what its evidence does not carry, so a FAIL left is a proven one.
_PRECEDENCE: tuple[tuple[Status, Decision], ...] = (
    (Status.FAIL, Decision.FAIL),
    (Status.INCONCLUSIVE, Decision.INCONCLUSIVE),
    (Status.PASS, Decision.PASS),
)
# Why we cannot say is told by the first of these; what the others miss follows from it.
_TOLD_FIRST = ("script", "baseline", "ledger", "ourselves", "rollout", "error_rate")

_OF_SERVICE = frozenset(question.name for question in QUESTIONS if question.of_service)


def judge(run: Run) -> Verdict:
    """The verdict of a run: a pure function of it, the same for a rehearsal and for the real thing."""
    verdict = Verdict()
    cohorts = read_cohorts(run)
    checks = examine(run, cohorts)
    decided = decide(checks)
    if decided is None:
        return msgspec.structs.replace(verdict, checks=checks)
    decision, deciding = decided
    return msgspec.structs.replace(
        verdict,
        decision=decision,
        sentence=_sentence(decision, deciding, checks, run, cohorts),
        reasons=tuple(check.why for check in deciding),
        checks=checks,
        causes=find_causes(run, cohorts),
    )


def decide(checks: Sequence[Check]) -> tuple[Decision, tuple[Check, ...]] | None:
    """FAIL beats INCONCLUSIVE beats PASS, with the checks that said so; None when nothing was examined."""
    for status, decision in _PRECEDENCE:
        deciding = tuple(check for check in checks if check.status is status)
        if deciding:
            return decision, deciding
    return None


def _sentence(
    decision: Decision, deciding: Sequence[Check], checks: Sequence[Check], run: Run, cohorts: Cohorts
) -> str:
    if decision is Decision.PASS:
        return _pass_sentence(checks, run, cohorts)
    lead = deciding[0]
    if decision is Decision.INCONCLUSIVE:
        lead = next((check for name in _TOLD_FIRST for check in deciding if check.name == name), lead)
    return f"{decision}: {lead.why}"


def _pass_sentence(checks: Sequence[Check], run: Run, cohorts: Cohorts) -> str:
    """The only place that reads whether this was a rehearsal."""
    word = "PASS (rehearsal: nothing of yours was tested)" if run.subject.rehearsal else "PASS"
    if not run.watches_rollout:
        main = [stream for stream in run.streams if stream.lane is Lane.MAIN]
        complete = sum(stream.outcome is Outcome.COMPLETE for stream in main)
        return f"{word}: {complete} of {len(main)} streams were complete; no rollout was watched"
    unseen = [
        f"{check.name} ({check.observed})"
        for check in checks
        if check.status is Status.NOT_EXAMINED and check.name in _OF_SERVICE
    ]
    parts = [_crossing(cohorts)]
    parts += ["not examined: " + ", ".join(unseen)] * bool(unseen)
    parts += ["a stream killed on purpose was called lost"] * (run.control is not None)
    parts += [run.subject.path_proves_not] * bool(run.subject.path_proves_not)
    return f"{word}: {'; '.join(parts)}"


def _crossing(cohorts: Cohorts) -> str:
    met = [member.stream.outcome for member in cohorts.of(Cohort.CROSSING) if member.stream.lane is Lane.MAIN]
    whole, all_met = met.count(Outcome.COMPLETE), len(met) - met.count(Outcome.REFUSED)
    words = f"{whole} of {all_met} crossing streams survived the cutover"
    if whole < all_met:
        return words
    percent = math.ceil(1000 * bound(whole)) / 10  # rounded up: what is printed must hold
    return f"{words}, at 95 % confidence the loss rate is below {percent:g} %"
