"""The questions a run is asked: each compares one observation with one limit."""

from collections.abc import Callable
from typing import NamedTuple

from midstream.checks import crossing, ourselves, rates, reachability, rollout, routing, times
from midstream.checks.check import Answer, Check, Status
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
    if question.of_service and run.script.baseline_failed:
        answer = answer._replace(
            status=Status.INCONCLUSIVE, why="the service failed before anything was triggered"
        )
    return Check(name=question.name, **answer._asdict())


QUESTIONS: tuple[Question, ...] = (
    Question("preview", rollout.preview),
    Question("crossing_lost", crossing.crossing_lost),
    Question("at_sigterm", crossing.at_sigterm),
    Question("reachability", reachability.reachability),
    Question(
        "kept_connections",
        reachability.kept_connections,
        asked_when=lambda run: run.limits.max_kept_blackout_s is not None,
    ),
    Question("routing", routing.routing),
    Question("rollout", rollout.rollout),
    Question("error_rate", rates.error_rate, of_plain_load=True),
    Question("5xx_rate", rates.rate_5xx, of_plain_load=True),
    Question("completion", rates.completion, of_plain_load=True),
    Question(
        "ttft_p95",
        times.ttft_p95,
        of_plain_load=True,
        asked_when=lambda run: run.limits.max_ttft_p95_s is not None,
    ),
    Question(
        "max_gap", times.max_gap, of_plain_load=True, asked_when=lambda run: run.limits.max_gap_s is not None
    ),
    Question("script", ourselves.script, of_plain_load=True, of_service=False),
    Question("baseline", ourselves.baseline, of_service=False),
    Question("ledger", ourselves.ledger, of_plain_load=True, of_service=False),
    Question("ourselves", ourselves.ourselves, of_plain_load=True, of_service=False),
    Question(
        "arrivals",
        ourselves.arrivals,
        of_plain_load=True,
        of_service=False,
        asked_when=lambda run: run.open_loop is not None,
    ),
    Question(
        "negative_control",
        ourselves.negative_control,
        of_service=False,
        asked_when=lambda run: run.control is not None,
    ),
    Question("second_witness", rollout.second_witness, of_service=False),
)
