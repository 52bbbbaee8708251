"""The timeline as a pure function of the notes, each mark from its best source (facts 4)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from midstream.rollouts import argo
from midstream.rollouts.argo import Object, Phase
from midstream.rollouts.observation import OwnPatch, WatchLog
from midstream.rollouts.pod_end import container_ends, pod_marks
from midstream.rollouts.sightings import Change, History, history
from midstream.rollouts.timeline import Cutover, Mark, MarkName, RolloutEvent, Timeline

ANALYSIS_TYPE_LABEL = "rollout-type"
PRE_PROMOTION = "PrePromotion"

# A retry after an abort in the pause goes on to the cutover without another pause (Argo 1.9.1, seen).
PROMOTING = frozenset({"promote", "promote-full", "retry"})
SWITCHING = frozenset({"set-image", "set-model", "set-env", "set-args", "same", "undo", "abort", "retry"})

_ORDER = {name: place for place, name in enumerate(MarkName)}


class Switch(NamedTuple):
    """The active Service went from one revision to another; numbered from 1."""

    number: int
    old: str
    new: str
    change: Change
    not_before_ns: int


class Switches(NamedTuple):
    """Which promotion a moment of a revision belongs to.

    Told by the order in which a revision became active or ceased to be, so that one kind's watch being
    later than another's does not move a mark to another promotion.
    """

    first: str | None  # the revision that was active when we began to look
    all: tuple[Switch, ...]

    @property
    def pending(self) -> int:
        """The number that the next switch will have."""
        return len(self.all) + 1

    def towards(self, revision: str | None, seen_ns: int) -> int | None:
        """The promotion that brings this revision; None when it is the one that was always active."""
        left = [
            switch.number
            for switch in self.all
            if switch.old == revision and switch.change.seen_ns <= seen_ns
        ]
        if revision == self.first and not left:
            return None
        after = max(left, default=0)
        brings = (switch.number for switch in self.all if switch.new == revision and switch.number > after)
        return next(brings, self.pending)

    def away_from(self, revision: str | None, seen_ns: int) -> int | None:
        """The promotion that leaves this revision; None when none did before that moment."""
        came = [
            switch.number
            for switch in self.all
            if switch.new == revision and switch.change.seen_ns <= seen_ns
        ]
        after = max(came, default=0)
        for switch in self.all:
            if switch.old == revision and switch.number > after:
                return switch.number if seen_ns > switch.not_before_ns else None
        return None


class _Scene(NamedTuple):
    """The log sorted by kind, with what every reader of marks needs."""

    rollout: History
    replica_sets: History
    pods: History
    services: History
    analysis_runs: History
    name: str
    spec: Object  # the Rollout in its newest state
    patches: tuple[OwnPatch, ...]


def read_timeline(log: WatchLog) -> Timeline:
    """All marks, cutovers, events of the Rollout `log.rollout`; empty before it was first seen."""
    scene = _scene(log)
    if scene is None:
        return Timeline(gaps=log.gaps, connects=log.connects)
    switches = _switches(scene)
    marks = [mark for reader in _READERS for mark in reader(scene, switches)]
    cutovers = tuple(_cutover(switch, scene, switches, marks) for switch in switches.all)
    marks += [cutover.at for cutover in cutovers]
    return Timeline(
        marks=tuple(sorted(marks, key=lambda mark: (mark.seen_ns, _ORDER[mark.name], mark.pod or ""))),
        cutovers=cutovers,
        gaps=log.gaps,
        events=tuple(sorted(_events(scene, switches), key=lambda event: event.seen_ns)),
        connects=log.connects,
        container_ends=tuple(end for each in _by_pod(scene) for end in container_ends(each)),
    )


def _scene(log: WatchLog) -> _Scene | None:
    by_kind = defaultdict(list)
    for observation in log.observations:
        by_kind[observation.kind].append(observation)
    rollout = _only(history(by_kind["rollouts"]), lambda item: item["metadata"]["name"] == log.rollout)
    if not rollout.ever():
        return None
    replica_sets = _only(
        history(by_kind["replicasets"]), lambda item: argo.owned_by(item, "Rollout", log.rollout)
    )
    owners = {item["metadata"]["name"] for item in replica_sets.ever()}
    return _Scene(
        rollout=rollout,
        replica_sets=replica_sets,
        pods=_only(
            history(by_kind["pods"]),
            lambda item: any(argo.owned_by(item, "ReplicaSet", owner) for owner in owners),
        ),
        services=history(by_kind["services"]),
        analysis_runs=_only(
            history(by_kind["analysisruns"]), lambda item: argo.owned_by(item, "Rollout", log.rollout)
        ),
        name=log.rollout,
        spec=rollout.ever()[-1],
        patches=log.patches,
    )


def _only(whole: History, belongs: Callable[[Object], bool]) -> History:
    return History(
        {name: item for name, item in whole.initial.items() if belongs(item)},
        [change for change in whole.changes if belongs(change.last)],
        {name: item for name, item in whole.now.items() if belongs(item)},
    )


def _switches(scene: _Scene) -> Switches:
    service = argo.active_service(scene.spec)
    first = _selected(scene.services.initial.get(service or ""))
    found: list[Switch] = []
    active = first
    for change in scene.services.changes:
        new = _selected(change.after)
        if change.name != service or new is None or new == active:
            continue
        if active is None:
            first = new
        else:
            floor_ns = _promotion_sent_ns(scene.patches, change)
            found.append(Switch(len(found) + 1, active, new, change, max(change.not_before_ns, floor_ns)))
        active = new
    return Switches(first, tuple(found))


def _promotion_sent_ns(patches: Iterable[OwnPatch], change: Change) -> int:
    """The switch follows our promotion, which is sent only while the Rollout waits for it."""
    sent = [patch.sent_ns for patch in patches if patch.verb in PROMOTING and patch.sent_ns < change.seen_ns]
    return max(sent, default=0)


def _selected(service: Object | None) -> str | None:
    if service is None:
        return None
    return (service["spec"].get("selector") or {}).get(argo.HASH_LABEL)


def _cutover(switch: Switch, scene: _Scene, switches: Switches, marks: Sequence[Mark]) -> Cutover:
    """T8. It cannot come before the template of its revision did, which we know best when we wrote it."""
    began = [
        mark.not_before_ns
        for mark in marks
        if mark.name is MarkName.T0 and mark.cutover == switch.number and mark.revision == switch.new
    ]
    at = Mark(
        name=MarkName.T8,
        seen_ns=switch.change.seen_ns,
        not_before_ns=max([switch.not_before_ns, *began[:1]]),
        source=switch.change.source("spec.selector"),
        cutover=switch.number,
        revision=switch.new,
    )
    return Cutover(
        number=switch.number,
        old=switch.old,
        new=switch.new,
        at=at,
        old_pods=tuple(sorted(_pods_at(switch, scene.pods, switches))),
    )


def _pods_at(switch: Switch, pods: History, switches: Switches) -> set[str]:
    """Pods of the old revision that this cutover leaves behind, with those that replace one of them."""
    back = [
        later.change.seen_ns
        for later in switches.all
        if later.new == switch.old and later.number > switch.number
    ]
    until_ns = min(back, default=None)
    there = {name for name, item in pods.initial.items() if _revision(item) == switch.old}
    for change in pods.changes:
        if _revision(change.last) != switch.old:
            continue
        if change.before is None and (until_ns is None or change.seen_ns <= until_ns):
            there.add(change.name)
        if change.after is None and change.seen_ns <= switch.not_before_ns:
            there.discard(change.name)
    return there


def _rollout_marks(scene: _Scene, switches: Switches) -> Iterator[Mark]:
    changes = [_dated_by_own_patch(change, scene.patches) for change in scene.rollout.changes]
    for place, change in enumerate(changes):
        if change.before is not None and change.after is not None:
            yield from _template_mark(change, changes[place:], switches)
            yield from _pause_marks(change, change.before, change.after, switches)
            yield from _stable_mark(change, switches)


def _template_mark(change: Change, later: Sequence[Change], switches: Switches) -> Iterator[Mark]:
    if _template_changed(change):
        revision = _revision_made(change.last, later)
        yield _moment(
            MarkName.T0, change, "metadata.generation", revision, _number(switches, revision, change)
        )


def _pause_marks(change: Change, before: Object, after: Object, switches: Switches) -> Iterator[Mark]:
    was_paused, is_paused = (argo.is_paused_for_promotion(state) for state in (before, after))
    revision = argo.current_hash(after)
    number = _number(switches, revision, change)
    if is_paused and not was_paused:
        paused = _moment(MarkName.T6, change, "status.pauseConditions", revision, number)
        yield msgspec.structs.replace(paused, object_time=argo.paused_since(after))
    if was_paused and not argo.pause_conditions(after) and not argo.is_aborted(after):
        yield _moment(MarkName.T7, change, "status.pauseConditions", revision, number)


def _stable_mark(change: Change, switches: Switches) -> Iterator[Mark]:
    before, after = (argo.stable_hash(state or {}) for state in (change.before, change.after))
    if before not in (None, after):
        yield _moment(MarkName.T9, change, "status.stableRS", after, _number(switches, after, change))


def _number(switches: Switches, revision: str | None, change: Change) -> int:
    return switches.towards(revision, change.seen_ns) or switches.pending


def _template_changed(change: Change) -> bool:
    before, after = change.before or {}, change.after or {}
    if argo.workload_ref(after) is not None:
        return argo.current_hash(before) != argo.current_hash(after)
    return bool(before["spec"]["template"] != after["spec"]["template"])


def _revision_made(changed: Object, later: Sequence[Change]) -> str | None:
    """The hash that the controller gave to a template: in its status once it has observed that generation."""
    generation = changed["metadata"].get("generation", 0)
    for change in later:
        if change.after is None or change.after["metadata"].get("generation", 0) > generation:
            return None
        if argo.generation_observed(change.after):
            return argo.current_hash(change.after)
    return None


def _dated_by_own_patch(change: Change, patches: Iterable[OwnPatch]) -> Change:
    """A state that our own write made lies between its request with its answer."""
    version = change.last["metadata"]["resourceVersion"]
    for patch in patches:
        if patch.resource_version == version:
            return change._replace(
                seen_ns=min(change.seen_ns, patch.answered_ns),
                not_before_ns=max(change.not_before_ns, patch.sent_ns),
                via=f"own patch ({patch.verb})",
            )
    return change


def _replica_set_marks(scene: _Scene, switches: Switches) -> Iterator[Mark]:
    for change in scene.replica_sets.changes:
        revision = _revision(change.last)
        towards = switches.towards(revision, change.seen_ns)
        away = switches.away_from(revision, change.seen_ns)
        if change.before is None and towards is not None:
            made = _moment(MarkName.T1, change, "ADDED", revision, towards)
            yield msgspec.structs.replace(made, object_time=change.last["metadata"].get("creationTimestamp"))
        if not _replicas(change.before) and _replicas(change.after) and towards is not None:
            yield _moment(MarkName.T3, change, "spec.replicas", revision, towards)
        deadline = _deadline(change.after)
        if deadline and not _deadline(change.before) and away is not None:
            words = f"annotation {argo.SCALE_DOWN_DEADLINE_ANNOTATION} {deadline}"
            yield _moment(MarkName.T10, change, words, revision, away)
        if _replicas(change.before) and not _replicas(change.after) and away is not None:
            yield _moment(MarkName.T11, change, "spec.replicas", revision, away)


def _service_marks(scene: _Scene, switches: Switches) -> Iterator[Mark]:
    preview = argo.preview_service(scene.spec)
    for change in scene.services.changes:
        new = _selected(change.after)
        if change.name != preview or new is None or new == _selected(change.before):
            continue
        number = switches.towards(new, change.seen_ns)
        if number is not None:
            yield _moment(MarkName.T2, change, "spec.selector", new, number)


def _analysis_marks(scene: _Scene, switches: Switches) -> Iterator[Mark]:
    for change in scene.analysis_runs.changes:
        if change.before is not None or argo.labels(change.last).get(ANALYSIS_TYPE_LABEL) != PRE_PROMOTION:
            continue
        revision = _revision(change.last)
        yield _moment(MarkName.T5, change, "ADDED", revision, _number(switches, revision, change))


def _pod_marks(scene: _Scene, switches: Switches) -> Iterator[Mark]:
    for each in _by_pod(scene):
        for mark in pod_marks(each):
            place = switches.towards if mark.name is MarkName.T4 else switches.away_from
            number = place(mark.revision, mark.seen_ns)
            if number is not None:
                yield msgspec.structs.replace(mark, cutover=number)


def _by_pod(scene: _Scene) -> Iterable[list[Change]]:
    by_pod = defaultdict(list)
    for change in scene.pods.changes:
        by_pod[change.name].append(change)
    return by_pod.values()


_READERS: tuple[Callable[[_Scene, Switches], Iterator[Mark]], ...] = (
    _rollout_marks,
    _replica_set_marks,
    _service_marks,
    _analysis_marks,
    _pod_marks,
)


def _moment(name: MarkName, change: Change, where: str, revision: str | None, cutover: int) -> Mark:
    return Mark(
        name=name,
        seen_ns=change.seen_ns,
        not_before_ns=change.not_before_ns,
        source=change.source(where),
        cutover=cutover,
        revision=revision,
    )


def _events(scene: _Scene, switches: Switches) -> Iterator[RolloutEvent]:
    for change in scene.rollout.changes:
        if change.after is None:
            yield _event("deleted", change, "DELETED")
        elif change.before is not None:
            yield from _turns(change.before, change.after, change, scene.patches)
    for earlier, later in zip(switches.all, switches.all[1:], strict=False):
        if not _asked_for(later, earlier, scene.patches):
            what = "switched_back" if later.new == earlier.old else "unexpected_cutover"
            yield _event(what, later.change, "spec.selector", f"{later.old} -> {later.new}")


def _turns(
    before: Object, after: Object, change: Change, patches: Iterable[OwnPatch]
) -> Iterator[RolloutEvent]:
    if argo.is_aborted(after) and not argo.is_aborted(before) and not _is_own(change, patches):
        told = argo.message(after)
        yield _event("aborted", change, "status.abort", "" if told == argo.message(before) else told)
    if argo.phase(after) is Phase.DEGRADED and argo.phase(before) is not Phase.DEGRADED:
        yield _event("degraded", change, "status.phase", argo.message(after))


def _is_own(change: Change, patches: Iterable[OwnPatch]) -> bool:
    return change.last["metadata"]["resourceVersion"] in {patch.resource_version for patch in patches}


def _asked_for(later: Switch, earlier: Switch, patches: Iterable[OwnPatch]) -> bool:
    """Whether a write of ours between two switches wanted the second (a repeat, our own undo)."""
    return any(
        patch.verb in SWITCHING and earlier.not_before_ns < patch.sent_ns < later.change.seen_ns
        for patch in patches
    )


def _event(what: str, change: Change, where: str, detail: str = "") -> RolloutEvent:
    return RolloutEvent(what=what, seen_ns=change.seen_ns, source=change.source(where), detail=detail)


def _revision(item: Object) -> str | None:
    return argo.labels(item).get(argo.HASH_LABEL)


def _replicas(replica_set: Object | None) -> int:
    return 0 if replica_set is None else int(replica_set["spec"].get("replicas", 1))


def _deadline(replica_set: Object | None) -> str | None:
    if replica_set is None:
        return None
    return argo.annotations(replica_set).get(argo.SCALE_DOWN_DEADLINE_ANNOTATION) or None
