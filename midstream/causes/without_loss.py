"""Causes that stand beside no lost stream: an unfit or slow revision, a dead key, a late way, a way back."""

from collections import Counter
from collections.abc import Iterator

from midstream.causes.cause import Cause
from midstream.causes.evidence import Scene
from midstream.causes.network import ROUTER_IGNORES_SERVICE, never_reached
from midstream.checks.check import is_unfit, seconds
from midstream.checks.doubt import dated_by
from midstream.checks.times import ttft_bounds
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.first_tokens import FEWEST, slower_starts
from midstream.rollouts.timeline import Cutover
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import Lane

NEARLY_ALL = 0.9


def unfit(run: Run) -> Iterator[Cause]:
    """What validating the new revision before its promotion showed."""
    if run.preview is None or not is_unfit(run):
        return
    yield Cause(
        line=f"the new revision did not stream well before its promotion: {run.preview.why}",
        cause="new_revision_unfit",
        why="",
        streams=run.preview.streams,
        evidence=(f"{run.preview.streams} streams through the preview Service",),
        mend="mend the new revision: what it runs, its arguments, the model's name",
    )


def slow_first_tokens(run: Run, cohorts: Cohorts) -> Iterator[Cause]:
    """Nearly all first tokens that were surely beyond --max-ttft-p95 came from a new revision."""
    if run.limits.max_ttft_p95_s is None:
        return
    limit_ns = run.limits.max_ttft_p95_s * NS_PER_S
    asked, late = Counter[str | None](), Counter[str | None]()
    for member in cohorts.members:
        if member.stream.lane is Lane.MAIN and member.stream.ttft_ns is not None:
            asked[member.revision] += 1
            late[member.revision] += ttft_bounds(member.stream, run)[0] > limit_ns
    for cutover in run.timeline.cutovers:
        of_new, of_old = late[cutover.new], late[cutover.old]
        if of_new < FEWEST or of_new < NEARLY_ALL * late.total():
            continue
        yield Cause(
            line=f"{of_new} of {asked[cutover.new]} first tokens on revision {cutover.new} took longer than "
            f"{run.limits.max_ttft_p95_s:g} s, {of_old} of {asked[cutover.old]} on {cutover.old}: the new "
            "revision is slow to its first tokens",
            cause="slow_first_tokens",
            why="the new revision is slow to its first tokens",
            streams=of_new,
            evidence=(
                f"dated by {dated_by(run.clocks)}, own lateness taken off",
                *(slower.sentence for slower in slower_starts(run, cohorts)),
            ),
            mend="warm the new revision up before its promotion (requests through the preview Service), and "
            "compare its prefill with the old one's under the same load",
        )


def dead_key(run: Run) -> Iterator[Cause]:
    """What `credential.with_credential` found: our own key died, which says nothing of the service."""
    refused = [stream for stream in run.streams if stream.ending is Ending.CREDENTIAL]
    if not refused:
        return
    by = "both revisions" if run.timeline.cutovers else "the server"
    statuses = sorted({str(stream.status) for stream in refused})
    yield Cause(
        line=f"{len(refused)} of {len(run.streams)} streams were answered {' or '.join(statuses)}: "
        f"the key was no longer accepted by {by}",
        cause="dead_key",
        why=f"the key was no longer accepted by {by}",
        streams=len(refused),
        evidence=(Ending.CREDENTIAL.sentence,) if run.timeline.cutovers else (),
        mend="give --api-key-command, a command that prints a key that is still good",
    )


def late_ways(scene: Scene) -> Iterator[Cause]:
    """New connections that led to the old revision for longer than MAX_PROPAGATION allows."""
    for cutover in scene.run.timeline.cutovers:
        seen = scene.reached[cutover.number]
        last_ns = seen.by_old[-1] - cutover.at.seen_ns if seen.by_old else 0
        if last_ns <= scene.run.limits.max_propagation_s * NS_PER_S:
            continue
        name, why, mend = _LATE
        if never_reached(cutover, seen, scene.run):
            name, why, mend = ROUTER_IGNORES_SERVICE.name, *ROUTER_IGNORES_SERVICE[2:]
        new = (
            f"the first to {cutover.new} {_after(seen.by_new[0], cutover)}"
            if seen.by_new
            else f"none to {cutover.new}"
        )
        count = len(seen.by_old)
        yield Cause(
            line=f"{count} new connections led to the old revision {cutover.old} after the cutover, the last "
            f"one {_after(seen.by_old[-1], cutover)}: {why}",
            cause=name,
            why=why,
            streams=count,
            evidence=(
                f"by the labels of the streams: {count} to {cutover.old}, {new}",
                f"{cutover.at.name}: {cutover.at.source}",
            ),
            mend=mend,
        )


_LATE = (
    "late_data_plane",
    "the data plane followed the Service's selector late",
    "see why kube-proxy, the ingress or the gateway takes so long to follow EndpointSlices, and keep "
    "scaleDownDelaySeconds above that time",
)


def _after(instant_ns: int, cutover: Cutover) -> str:
    return f"{seconds(instant_ns - cutover.at.seen_ns)} after it"


def switched_back(run: Run) -> Iterator[Cause]:
    """Somebody else had the active Service select the old revision again."""
    for event in run.timeline.events:
        if event.what != "switched_back" or not run.timeline.cutovers:
            continue
        since = seconds(event.seen_ns - run.timeline.cutovers[0].at.seen_ns)
        why = "somebody else went back to the old revision: no write of this test asked for it"
        yield Cause(
            line=f"the active Service selected the old revision again {since} after the cutover "
            f"({event.detail}): {why}",
            cause="switched_back",
            why=why,
            streams=0,
            evidence=(event.source,),
            mend="see who changed the Rollout or the Service (managedFields, the audit log): an undo by a "
            "person, a GitOps sync, an abort",
        )
