"""The one value that every renderer takes."""

import msgspec

from midstream.cohorts import Cohorts, Row, read_cohorts, table
from midstream.first_tokens import slower_starts
from midstream.metrics import Metrics, read_metrics
from midstream.reports.pulse_notes import pulse_notes
from midstream.reports.time_notes import time_notes
from midstream.run import Run
from midstream.verdict import Verdict


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run with all that was derived from it."""

    run: Run
    verdict: Verdict
    cohorts: Cohorts
    cohort_table: tuple[Row, ...]
    metrics: Metrics
    notes: tuple[str, ...] = ()  # of the run, kept connections, first tokens, then what its times are worth


def read_report(run: Run, verdict: Verdict) -> Report:
    """Derive what a report shows; the verdict is taken as it was given, never judged again."""
    cohorts = read_cohorts(run)
    metrics = read_metrics(run, cohorts)
    slower = (found.sentence for found in slower_starts(run, cohorts))
    return Report(
        run=run,
        verdict=verdict,
        cohorts=cohorts,
        cohort_table=table(cohorts),
        metrics=metrics,
        notes=(*run.notes, *_shed(run), *pulse_notes(run), *slower, *time_notes(run.clocks, metrics)),
    )


def _shed(run: Run) -> tuple[str, ...]:
    loop = run.open_loop
    if loop is None or not loop.shed:
        return ()
    return (
        f"{loop.shed} of {loop.offered} arrivals were shed, as {loop.most_open} streams were open "
        "(--max-inflight): the service was not offered the load that was asked for",
    )
