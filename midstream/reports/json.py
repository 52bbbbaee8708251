"""The report as JSON: verdict.json, timeline.json, streams.jsonl."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from midstream.cohorts import NS_PER_S, Member
from midstream.reports.report import Report
from midstream.rollouts.timeline import MARK_WORDS
from midstream.run import Run

_ENCODER = msgspec.json.Encoder()


def verdict_json(report: Report) -> bytes:
    """`verdict`, `exit_code`, `subject`, `target`, `checks[]`, `causes[]`, `metrics`, `cohorts`."""
    run, verdict = report.run, report.verdict
    return _pretty(
        {
            "verdict": verdict.decision,
            "exit_code": verdict.exit_code,
            "sentence": verdict.sentence,
            "reasons": verdict.reasons,
            "target": run.subject.target,
            "watches_rollout": run.watches_rollout,
            "subject": run.subject,
            "checks": verdict.checks,
            "causes": verdict.causes,
            "metrics": report.metrics,
            "cohorts": report.cohort_table,
            "limits": run.limits,
            "deadlines": run.deadlines,
            "budget": run.budget,
            "ledger": run.ledger,
            "script": run.script,
            "preview": run.preview,
            "traits_missing": run.traits_missing,
            "clocks": run.clocks,
            "notes": report.notes,
            "started": wall_time(run.started_ns, run),
            "stopped": wall_time(run.stopped_ns, run),
        }
    )


def timeline_json(report: Report) -> bytes:
    """Marks with source and times, cutovers, gaps, events, watches, our own late spells.

    `_ns` is the monotonic clock of the judging machine, `wall` the same moment for people.
    """
    run, line = report.run, report.run.timeline
    return _pretty(
        {
            "wall_minus_monotonic_ns": run.wall_minus_monotonic_ns,
            "started_ns": run.started_ns,
            "stopped_ns": run.stopped_ns,
            "baseline_ns": run.baseline_ns,
            "marks": [
                _dated(mark, mark.seen_ns, run) | {"moment": MARK_WORDS[mark.name]} for mark in line.marks
            ],
            "cutovers": line.cutovers,
            "gaps": [_dated(gap, gap.from_ns, run) for gap in line.gaps],
            "events": [_dated(event, event.seen_ns, run) for event in line.events],
            "container_ends": [_dated(end, end.seen_ns, run) for end in line.container_ends],
            "connects": [_dated(connect, connect.at_ns, run) for connect in line.connects],
            "late": [_dated(spell, spell.from_ns, run) for spell in run.late],
        }
    )


def stream_lines(report: Report) -> Iterator[bytes]:
    """One line a stream: its record with `outcome`, `cohorts`, `revision`, `wall` of its start."""
    for member in report.cohorts.members:
        yield _encoded(_stream(member, report.run)) + b"\n"


def wall_time(instant_ns: int, run: Run) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp((instant_ns + run.wall_minus_monotonic_ns) / NS_PER_S, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stream(member: Member, run: Run) -> dict[str, Any]:
    stream = member.stream
    return msgspec.structs.asdict(stream) | {
        "outcome": stream.outcome,
        "cohorts": member.cohorts,
        "revision": member.revision,
        "wall": wall_time(stream.opened_ns, run),
    }


def _dated(record: msgspec.Struct, instant_ns: int, run: Run) -> dict[str, Any]:
    return msgspec.structs.asdict(record) | {"wall": wall_time(instant_ns, run)}


def _pretty(value: dict[str, Any]) -> bytes:
    return msgspec.json.format(_encoded(value), indent=2) + b"\n"


def _encoded(value: dict[str, Any]) -> bytes:
    """A command line may hold bytes that are no UTF-8: each becomes a question mark, since JSON has none."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode(errors="replace")
