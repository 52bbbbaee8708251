"""The plan of a test as plain text, for people who want to see it before anything is touched."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from midstream.checks.check import percent
from midstream.planner.lengths import Length
from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish
from midstream.promotion import deadline_s
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.client import Access
from midstream.run import State, Subject
from midstream.streams.deadlines import Deadlines

WIDTH = 100
INDENT = "  "
GAP = 2  # between two columns


class VerbAccess(NamedTuple):
    """What RBAC allows for one verb of the test."""

    verb: str  # "watch" for what is only read
    access: tuple[Access, ...]


class PlanPage(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows."""

    subject: Subject
    model: str
    api: str
    traits_missing: tuple[str, ...]
    wish: Wish
    server: Server
    plan: LoadPlan
    budget: DrainBudget | None  # None: a plain load
    access: tuple[VerbAccess, ...]
    deadlines: Deadlines


_Row = Sequence[str]


def page_text(page: PlanPage) -> str:
    """The page at 100 columns; each section under its title."""
    parts = ["The plan of a test: nothing was written, no load was made.\n"]
    for title, rows in _sections(page):
        lines = list(rows)
        if lines:
            parts.append("\n".join([title, *_table(lines), ""]))
    return "\n".join(parts)


def _sections(page: PlanPage) -> Iterator[tuple[str, Iterable[_Row]]]:
    yield "target", _target(page)
    yield "rollout", _rollout(page)
    yield "what RBAC has to allow, and does", _verbs(page)
    yield "drain budget: how long a stream can live after the cutover", _budget(page.budget)
    yield "streams", _streams(page)
    yield "expected duration", _duration(page.plan)
    yield "deadlines of the states", _deadlines(page)
    yield "limits of one stream", _limits(page.deadlines)
    yield "what does not fit", _findings(page.plan)


def _target(page: PlanPage) -> Iterator[_Row]:
    subject, server = page.subject, page.server
    yield "URL", subject.target
    yield "path", subject.path
    if subject.path_proves_not:
        yield "", subject.path_proves_not
    context = f", context {server.context_tokens:,} tokens" if server.context_tokens else ""
    yield "model", f"{page.model} ({page.api}), {server.tokens_per_s:.3g} tokens/s a stream{context}"
    if page.traits_missing:
        yield "not shown", f"{', '.join(page.traits_missing)}: hence not demanded of streams"


def _rollout(page: PlanPage) -> Iterator[_Row]:
    subject, server, script = page.subject, page.server, page.wish.script
    if script is None:
        return
    yield "name", f"{subject.namespace}/{subject.rollout}, Healthy, nothing drains"
    yield "API server", f"{subject.api_server}, Kubernetes {subject.kubernetes}"
    if subject.old is not None:
        images = ", ".join(f"{name}={image}" for name, image in subject.old.images.items())
        took = f" (after {server.became_ready_s:g} s)" if server.became_ready_s is not None else ""
        yield "serves", f"{subject.old.revision}  {images}, {_count(server.pods, 'pod')} ready{took}"
    yield "promoter", script.promoter.value


def _verbs(page: PlanPage) -> Iterator[_Row]:
    for verb, access in page.access:
        for group, of_group in groupby(access, key=lambda each: each.group):
            rules: dict[tuple[str, ...], list[str]] = {}
            for resource, alike in groupby(of_group, key=lambda each: each.resource):
                rules.setdefault(tuple(each.verb for each in alike), []).append(resource)
            for verbs, resources in rules.items():
                yield verb, f"{', '.join(verbs)}", f"{', '.join(resources)} ({group or 'core'})"


def _budget(budget: DrainBudget | None) -> Iterator[_Row]:
    if budget is None:
        return
    source = budget.sources
    if budget.scale_down_delay_s is None:
        yield "", "unlimited", f"old pods are never stopped ({source.get('scale_down_delay_s', '')})"
        return
    yield "", _seconds(budget.scale_down_delay_s), f"delay ({source.get('scale_down_delay_s', '')})"
    yield "+", _seconds(budget.pre_stop_s), f"preStop ({source.get('pre_stop_s', '')})"
    grace = f"grace {budget.grace_s:g} s ({source.get('grace_s', '')})"
    grace = f"{grace} without preStop = {budget.most_drain_s:g} s"
    engine = source.get("engine_drain_s", "")
    if budget.engine_drain_s is None or budget.drain_s is None or budget.total_s is None:
        yield "+", "unknown", f"drain of the engine ({engine}), at most {grace}"
        return
    words = f"drain: the shorter of the engine's {budget.engine_drain_s:g} s ({engine}), {grace}"
    yield "+", _seconds(budget.drain_s), words
    yield "=", _seconds(budget.total_s), "then the last stream has ended or is cut"


def _streams(page: PlanPage) -> Iterator[_Row]:
    wish, plan = page.wish, page.plan
    if wish.open_loop is None:
        yield "users", f"{wish.users} (-u), {wish.spawn_rate:g} begin in a second (-r)"
    else:
        loop = wish.open_loop
        yield "arrivals", f"{loop.rate:g}/s (--arrivals), at most {loop.most_open} open (--max-inflight)"
    option = f"--tokens {wish.tokens}" if wish.tokens else f"--stream-seconds {wish.stream_seconds:g}"
    yield "a stream", f"{_length(plan.main)} ({option})"
    if plan.sigterm is not None:
        words = f"{wish.sigterm_streams} of {_length(plan.sigterm)} (--sigterm-streams)"
        yield "for SIGTERM", f"{words}, begun right before the promotion"
    at_once = " + ".join(f"{demand.streams} {demand.what}" for demand in plan.demands)
    yield "at once", f"{plan.peak_streams} at most: {at_once}"
    yield from _kv(page)


def _kv(page: PlanPage) -> Iterator[_Row]:
    capacity, pods = page.server.capacity, page.server.pods
    if capacity is None:
        yield "KV cache", "the server does not tell how much it holds"
        return
    needed = page.plan.kv_tokens(capacity.block_tokens)
    each = f" in each of {pods} pods" if pods > 1 else ""
    yield (
        "KV cache",
        f"up to {needed:,} tokens needed, {capacity.tokens:,}{each} there "
        f"({percent(capacity.used)} in use, {_count(capacity.running, 'stream')} of others)",
    )


def _duration(plan: LoadPlan) -> Iterator[_Row]:
    for number, part in enumerate(plan.parts):
        told = "unknown" if part.seconds is None else _seconds(part.seconds)
        yield "+" if number else "", told, part.words
    more = f", with: {'; '.join(plan.unknown)}" if plan.unknown else ""
    yield "=", _seconds(plan.known_s), f"{'and more' if more else 'about'}{more}"


def _deadlines(page: PlanPage) -> Iterator[_Row]:
    script = page.wish.script
    if script is None:
        return
    for state in State:
        limit = deadline_s(state, script)
        if limit is not None:
            yield state.value, _seconds(limit[0]), limit[1]


_LIMIT_WORDS = {
    "connect_s": ("to connect", "--connect-limit"),
    "headers_s": ("to the response's head", "--headers-limit"),
    "first_token_s": ("to the first token", "--first-token-limit"),
    "idle_s": ("between two tokens", "--idle-limit"),
    "total_s": ("the whole stream", "--total-limit"),
}


def _limits(deadlines: Deadlines) -> Iterator[_Row]:
    for field, seconds in msgspec.structs.asdict(deadlines).items():
        words, option = _LIMIT_WORDS[field]
        yield words, _seconds(seconds), option


def _findings(plan: LoadPlan) -> Iterator[_Row]:
    yield from (("-", finding) for finding in plan.findings)
    if not plan.findings:
        yield "", "nothing: this plan fits"


def _length(length: Length) -> str:
    wanted = f" of {_seconds(length.wanted_seconds)} wanted" if length.is_clipped else ""
    return f"{_seconds(length.seconds)}{wanted} = {length.tokens:,} tokens"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    """Columns at the width of their longest cell, seconds to the right; the last one is wrapped."""
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    margin = len(INDENT) + sum(widths) + GAP * len(widths)
    for row in cells:
        head = "".join(_aligned(cell, width) + " " * GAP for cell, width in zip(row, widths, strict=False))
        yield textwrap.fill(
            row[-1],
            WIDTH,
            initial_indent=INDENT + head,
            subsequent_indent=" " * margin,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if cell.endswith(" s") or cell in ("unknown", "unlimited") else cell.ljust(width)


def _printable(words: str) -> str:
    """A server's words must not steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in words)
