"""What each kind of step does, at the one part of the cluster where it happens in real life."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from midstream.rehearsal.draft import hash_of
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.patches import PatchError, json_patched, merged
from midstream.rehearsal.step_runner import Deed, StepError
from midstream.rehearsal.steps import ExpireWatches, PatchObject, SignalPods, Step, StopOwner
from midstream.rehearsal.store import KINDS, Object, Store

logger = logging.getLogger(__name__)
PLURALS = {kind.kind: kind.plural for kind in KINDS.values()}


def deeds_of(store: Store, kubelet: Kubelet) -> Mapping[type[Step], Deed]:
    """Who does a step, by its type."""
    return {
        SignalPods: partial(signal_pods, store, kubelet),
        PatchObject: partial(patch_object, store),
        ExpireWatches: partial(expire_watches, store),
    }


def told(say: Callable[[Any], None]) -> Deed:
    """The deed of a part that only has to be told."""

    async def deed(step: Step) -> None:
        say(step)

    return deed


async def signal_pods(store: Store, kubelet: Kubelet, step: SignalPods) -> None:
    """Signal as many of the running pods meant, by name."""
    first = min(store.list("replicasets")[0], key=lambda rs: str(rs["metadata"]["creationTimestamp"]))
    of_first = [(hash_of(pod) == hash_of(first), pod) for pod in store.list("pods")[0]]
    meant = [pod for is_first, pod in of_first if is_first == (step.pods == "old")]
    for pod in meant[: step.count]:
        kubelet.signal(pod["metadata"]["namespace"], pod["metadata"]["name"], step.signum)


async def patch_object(store: Store, step: PatchObject) -> None:
    """Patch one object of that name in any namespace. Raises StepError."""
    kind, _, name = step.object.partition("/")
    if kind not in PLURALS:
        raise StepError(f"patch {step.object}: there is no kind {kind}")
    of_status = step.subresource == "status"
    found = [obj for obj in store.list(PLURALS[kind])[0] if obj["metadata"]["name"] == name]
    if not found:
        raise StepError(f"patch {step.object}: there is none")

    def change(obj: Object) -> None:
        patched = json_patched(obj, step.patch) if isinstance(step.patch, list) else merged(obj, step.patch)
        obj.clear()
        obj.update(patched)

    try:
        for obj in found:
            store.edit(PLURALS[kind], obj["metadata"]["namespace"], name, change, of_status)
    except PatchError as error:
        raise StepError(f"patch {step.object}: {error}") from None


async def expire_watches(store: Store, step: ExpireWatches) -> None:
    """Let the store forget, again and again."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + step.for_s
    while loop.time() < end_s:
        store.forget()
        await asyncio.sleep(step.every_s)


async def stop_owner(pid: int | None, step: StopOwner) -> None:
    """Stop the owner for a while; whatever ends this process lets it go on."""
    if pid is None:
        logger.warning("this rehearsal has no owner that could be stopped")
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(step.for_s)
    finally:
        os.kill(pid, signal.SIGCONT)
