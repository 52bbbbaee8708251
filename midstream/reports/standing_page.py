"""Where a Rollout stands as plain lines, for people who read a terminal or a log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from midstream.reports.printable import printable
from midstream.rollouts.blocks import Block
from midstream.rollouts.standing import PodStanding, RevisionStanding, ServiceStanding, Standing

Logs: TypeAlias = Mapping[tuple[str, str], Sequence[str]]  # pod, container -> its last lines

LOG_WIDTH = 300  # of one line of a log; progress bars and tracebacks of requests are longer

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def page_lines(standing: Standing, logs: Logs) -> list[str]:
    """The whole page; nothing of the cluster's words steers a terminal."""
    return [_clean(line) for line in _page(standing, logs)]


def block_lines(block: Block, logs: Logs) -> list[str]:
    """One obstacle with the last lines of its container."""
    return [_clean(line) for line in _block(block, logs)]


def headline(standing: Standing) -> str:
    """Phase with the controller's words, what it waits for."""
    words = f": {standing.message}" if standing.message else ""
    awaits = f"; waits for {standing.awaits}" if standing.awaits else ""
    return _clean(f"{standing.phase}{words}{awaits}")


def duration(seconds: float) -> str:
    """In its largest unit: "42 s", "5 min", "3 h", "2 d"."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _page(standing: Standing, logs: Logs) -> Iterator[str]:
    yield f"Rollout {standing.namespace}/{standing.name}: {standing.phase}" + (
        f" ({standing.message})" if standing.message else ""
    )
    if standing.awaits:
        since = "" if standing.paused_s is None else f", for {duration(standing.paused_s)}"
        yield f"waits for {standing.awaits}{since}"
    for block in standing.blocks:
        if not block.revision and not repeats(block, standing.message):
            yield from _block(block, logs)
    for revision in standing.revisions:
        yield from _revision(revision, standing.blocks, logs)
    for service in standing.services:
        yield f"Service {service.name} ({service.role}): {_leads_to(service, standing.revisions)}"
    yield from _ways_on(standing)


def repeats(block: Block, message: str) -> bool:
    """Whether the Rollout's own message, which stands in the first line, says the same."""
    return bool(message) and (block.words in message or message in block.words)


def _revision(revision: RevisionStanding, blocks: Sequence[Block], logs: Logs) -> Iterator[str]:
    images = ", ".join(revision.images.values())
    model = f", model {revision.model}" if revision.model else ""
    due = revision.scaled_down_in_s
    when = f", scaled down in {duration(due)}" if due is not None and revision.wanted else ""
    yield f"revision {_called(revision)}, {revision.role}{when}: image {images}{model}"
    own = [block for block in blocks if block.revision == revision.hash]
    for block in own:
        if not block.pod:
            yield from _indented(_block(block, logs))
    if not revision.pods:
        yield f"  no pods ({revision.wanted} wanted)"
    for pod in revision.pods:
        yield f"  pod {pod.name}: {_pod(pod)}"
        for block in own:
            if block.pod == pod.name:
                shown = block._replace(words=block.words.removeprefix(f"pod {pod.name}: "))
                yield from _indented(_indented(_block(shown, logs)))
        if pod.probed:
            yield f"    {pod.probed}"


def _pod(pod: PodStanding) -> str:
    state = "on its way out" if pod.leaving else "ready" if pod.ready else "not ready"
    restarts = f"{pod.restarts} restart{'' if pod.restarts == 1 else 's'}"
    age = "" if pod.age_s is None else f", {duration(pod.age_s)} old"
    return f"{state}, {restarts}{age}"


def _leads_to(service: ServiceStanding, revisions: Sequence[RevisionStanding]) -> str:
    if not service.there:
        return "there is no such Service"
    if service.revision is None:
        return "not led to one revision yet"
    known = {revision.hash: revision for revision in revisions}
    if service.revision not in known:
        return f"leads to {service.revision}, of which there are no pods"
    return f"leads to revision {_called(known[service.revision])}"


def _called(revision: RevisionStanding) -> str:
    return revision.hash if revision.number is None else f"{revision.number} ({revision.hash})"


def _block(block: Block, logs: Logs) -> Iterator[str]:
    yield block.words
    for line in logs.get((block.pod, block.container), ()) if block.has_log else ():
        yield f"  | {line[:LOG_WIDTH]}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _ways_on(standing: Standing) -> Iterator[str]:
    """What a person can type where the next step is theirs."""
    whose = f"--rollout {standing.namespace}/{standing.name}"
    if not standing.is_blue_green:
        if standing.is_promotable:
            yield f"to promote: kubectl argo rollouts promote {standing.name} -n {standing.namespace}"
        yield (
            "a canary Rollout: update, path and a judged promotion are about blue/green;"
            " give your server to a test with --host"
        )
        return
    if standing.is_promotable:
        yield f"to promote: python -m midstream update {whose} --promote (without load: nothing is judged)"
    if standing.is_half_updated:
        yield f"to go back: python -m midstream update {whose} --undo"
    if standing.is_promotable:
        yield "to judge it under load: go back, then make verify PROMOTE=1, which brings an update of its own"


def _clean(line: str) -> str:
    return printable(line).replace("\n", " ")
