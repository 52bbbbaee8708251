"""The questions a run is asked: each compares one observation with one limit."""

from collections.abc import Callable
from typing import NamedTuple

from midstream.checks.check import Answer, Check, Status
from midstream.checks.crossing import at_sigterm, crossing_lost
from midstream.checks.ourselves import baseline, ledger, ourselves, script
from midstream.checks.rates import completion, error_rate, rate_5xx
from midstream.checks.reachability import reachability
from midstream.checks.rollout import preview, rollout, second_witness
from midstream.checks.routing import routing
from midstream.checks.times import max_gap, ttft_p95
from midstream.cohorts import Cohorts
from midstream.run import Run

Ask = Callable[[Run, Cohorts], Answer]


class Question(NamedTuple):
    """One row of the table of checks."""

    name: str
    ask: Ask
    of_plain_load: bool = False  # asked without a rollout too
    of_service: bool = True  # rests on how the service did, so that a broken baseline voids it
    asked_when: Callable[[Run], bool] = lambda _: True


def examine(run: Run, cohorts: Cohorts) -> tuple[Check, ...]:
    """Every check that applies to the run, in the order in which they matter."""
    return tuple(
        _check(question, run, cohorts)
        for question in QUESTIONS
        if (run.watches_rollout or question.of_plain_load) and question.asked_when(run)
    )


def _check(question: Question, run: Run, cohorts: Cohorts) -> Check:
    answer = question.ask(run, cohorts)
    if question.of_service and run.script.baseline_failed and answer.status is not Status.NOT_EXAMINED:
        answer = answer._replace(
            status=Status.INCONCLUSIVE, why="the service failed before anything was triggered"
        )
    return Check(name=question.name, **answer._asdict())


QUESTIONS: tuple[Question, ...] = (
    Question("preview", preview),
    Question("crossing_lost", crossing_lost),
    Question("at_sigterm", at_sigterm),
    Question("reachability", reachability),
    Question("routing", routing),
    Question("rollout", rollout),
    Question("error_rate", error_rate, of_plain_load=True),
    Question("5xx_rate", rate_5xx, of_plain_load=True),
    Question("completion", completion, of_plain_load=True),
    Question(
        "ttft_p95",
        ttft_p95,
        of_plain_load=True,
        asked_when=lambda run: run.limits.max_ttft_p95_s is not None,
    ),
    Question("max_gap", max_gap, of_plain_load=True, asked_when=lambda run: run.limits.max_gap_s is not None),
    Question("script", script, of_plain_load=True, of_service=False),
    Question("baseline", baseline, of_service=False),
    Question("ledger", ledger, of_plain_load=True, of_service=False),
    Question("ourselves", ourselves, of_plain_load=True, of_service=False),
    Question("second_witness", second_witness, of_service=False),
)
