"""The table of all rules, in the order in which their findings are told."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from midstream.rollouts.lint import analysis, grace, probes, process, room, sidecars, strategy, streams
from midstream.rollouts.lint.case import Case
from midstream.rollouts.lint.finding import Finding, Severity

Rule: TypeAlias = Callable[[Case], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "grace": grace.short_grace,
    "no-shutdown-timeout": grace.no_shutdown_timeout,
    "late-shutdown-timeout": grace.late_shutdown_timeout,
    "old-vllm": grace.old_vllm,
    "shell-pid-1": process.shell_as_pid_1,
    "prestop-program": process.no_program_for_pre_stop,
    "prestop-sleep": process.sleep_unknown_to_kubernetes,
    "proxy": sidecars.closes_first,
    "readiness": probes.blind_readiness,
    "liveness": probes.impatient_liveness,
    "progress-deadline": probes.short_progress_deadline,
    "auto-promotion": strategy.promotes_by_itself,
    "scale-down-delay": strategy.no_delay,
    "revision-limit": strategy.revision_limit,
    "rolling-update": strategy.unbridged,
    "autoscaler": strategy.autoscaled,
    "analysis": analysis.cannot_fail,
    "quota": room.quota_full,
    "nodes": room.nodes_full,
    "streams-miss-sigterm": streams.streams_miss_sigterm,
    "streams-outlive-budget": streams.streams_outlive_budget,
}


class Told(NamedTuple):
    """A finding with the name of its rule."""

    rule: str
    finding: Finding


def judge(case: Case) -> tuple[Told, ...]:
    """What all rules say of the case: errors first, then warnings, each in the table's order."""
    found = [Told(name, finding) for name, rule in RULES.items() for finding in rule(case)]
    return tuple(sorted(found, key=lambda told: told.finding.severity is not Severity.ERROR))
