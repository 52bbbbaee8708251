"""The kubelet: every Pod object becomes processes, their state its status, its deletion their end."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence

from midstream.rehearsal.container import BACK_OFF_S, ContainerRun, Deletion, PodContext
from midstream.rehearsal.images import Image
from midstream.rehearsal.podspec import PodSpec, PodSpecError, read_spec
from midstream.rehearsal.processes import Log, Reaper
from midstream.rehearsal.scheduling import no_room, unscheduled
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.timestamps import time_text, utc_now

# Reasons of a waiting container that never had a process
NOT_STARTED = ("ContainerCreating", "ErrImagePull", "CreateContainerConfigError")

logger = logging.getLogger(__name__)


class Kubelet:
    """Runs every pod of the store that this machine has room for; the others wait until it has.

    `addresses` gives each pod its own loopback address; `node` says how many there are of each extended
    resource.
    """

    def __init__(
        self,
        store: Store,
        *,
        images: Mapping[str, Image],
        addresses: Iterator[str],
        reaper: Reaper,
        node: Mapping[str, int] | None = None,
        back_off_s: float = BACK_OFF_S,
    ) -> None:
        self._store = store
        self._node = node or {}
        self._images = images
        self._addresses = addresses
        self._reaper = reaper
        self._back_off_s = back_off_s
        self._pods: dict[str, PodRun] = {}  # by uid

    async def run(self) -> None:
        """Follow the store's pods until cancelled."""
        queue = self._store.subscribe(["pods"])
        try:
            async with asyncio.TaskGroup() as group:
                for pod in self._store.list("pods")[0]:
                    self._take(pod, group)
                while True:
                    event = await queue.get()
                    if event.type == "DELETED":
                        self._gone(event.object)
                    else:
                        self._take(event.object, group)
        finally:
            self._store.unsubscribe(queue)

    def log_of(self, namespace: str, name: str) -> bytes | None:
        """What the pod wrote last, at most LOG_LIMIT_BYTES; None when it has no processes here."""
        pod = self._store.get("pods", namespace, name)
        run = self._pods.get(pod["metadata"]["uid"]) if pod else None
        return run.log.kept() if run else None

    def signal(self, namespace: str, name: str, signum: int) -> None:
        """Signal the containers of a pod; nothing happens where it has no process."""
        pod = self._store.get("pods", namespace, name)
        if run := self._pods.get(pod["metadata"]["uid"]) if pod else None:
            run.signal(signum)

    def _take(self, pod: Object, group: asyncio.TaskGroup) -> None:
        metadata = pod["metadata"]
        run = self._pods.get(metadata["uid"])
        if run is None:
            message = no_room(pod, [each.pod for each in self._pods.values()], self._node)
            if message:
                self._hold(pod, message)
                return
            run = self._pods[metadata["uid"]] = PodRun(pod, next(self._addresses), self._store)
            group.create_task(self._run(run, group))
        if "deletionTimestamp" in metadata:
            run.deletion.ask(metadata["deletionGracePeriodSeconds"])

    def _hold(self, pod: Object, message: str) -> None:
        """A pod that is on no node has nothing to end: once deleted it is gone at once."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        stored = self._store.get("pods", namespace, name)
        if stored is None or stored["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        if "deletionTimestamp" in stored["metadata"]:
            self._store.remove("pods", namespace, name)
            return
        status = unscheduled(stored, message)
        self._store.edit("pods", namespace, name, lambda obj: obj.update(status=status), status=True)

    def _gone(self, pod: Object) -> None:
        """Removed at once (grace 0): the kubelet still gives SIGTERM and its minimum of time."""
        if run := self._pods.get(pod["metadata"]["uid"]):
            run.deletion.ask(0)

    async def _run(self, run: "PodRun", group: asyncio.TaskGroup) -> None:
        try:
            await run.run(self._images, self._reaper, self._back_off_s)
        finally:
            del self._pods[run.uid]
        for pod in self._store.list("pods")[0]:
            if pod["metadata"]["uid"] not in self._pods:  # it waited for the room that is free now
                self._take(pod, group)


class PodRun:
    """One pod: its containers, from ContainerCreating until none is left and the object is removed."""

    def __init__(self, pod: Object, ip: str, store: Store) -> None:
        self.pod = pod
        self._ip = ip
        self._store = store
        self._started_at = time_text(utc_now())
        self._containers: list[ContainerRun] = []
        self.uid: str = pod["metadata"]["uid"]
        self.deletion = Deletion()
        self.log = Log()

    async def run(self, images: Mapping[str, Image], reaper: Reaper, back_off_s: float) -> None:
        """Run all containers until the pod is deleted and they have ended, then remove the object."""
        try:
            spec = read_spec(self.pod)
        except PodSpecError as error:
            self._refuse(str(error))
            await self.deletion.asked.wait()
        else:
            await self._run_containers(spec, images, reaper, back_off_s)
        if self._current():
            self._store.remove("pods", self._namespace, self._name)

    def signal(self, signum: int) -> None:
        """Signal every container."""
        for container in self._containers:
            container.signal(signum)

    async def _run_containers(
        self, spec: PodSpec, images: Mapping[str, Image], reaper: Reaper, back_off_s: float
    ) -> None:
        context = PodContext(
            pod=self.pod,
            ip=self._ip,
            grace_s=spec.termination_grace_period_seconds,
            deletion=self.deletion,
            log=self.log,
            on_change=self._write,
        )
        self._containers = [
            ContainerRun(container, context, images=images, reaper=reaper, back_off_s=back_off_s)
            for container in spec.containers
        ]
        self._write()
        async with asyncio.TaskGroup() as group:
            for container in self._containers:
                group.create_task(container.run())

    def _refuse(self, message: str) -> None:
        logger.error("pod %s: %s", self._name, message)
        self.log.append(f"{message}\n".encode())
        status = {"phase": "Pending", "reason": "CreateContainerConfigError", "message": message}
        self._set_status(status)

    @property
    def _namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def _name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def _current(self) -> Object | None:
        """The object as stored now; None when it is gone or another pod has its name."""
        pod = self._store.get("pods", self._namespace, self._name)
        return pod if pod and pod["metadata"]["uid"] == self.uid else None

    def _write(self) -> None:
        if pod := self._current():
            old = pod.get("status", {}).get("conditions", [])
            self._set_status(
                {
                    **pod_status(self._containers, old, deleted=self.deletion.asked.is_set()),
                    "podIP": self._ip,
                    "podIPs": [{"ip": self._ip}],
                    "startTime": self._started_at,
                }
            )

    def _set_status(self, status: Object) -> None:
        def change(pod: Object) -> None:
            pod["status"] = status

        if self._current():
            self._store.edit("pods", self._namespace, self._name, change, status=True)


def pod_status(containers: Sequence[ContainerRun], old: Sequence[Object], *, deleted: bool) -> Object:
    """What the containers' states make of their pod; an unchanged condition of `old` keeps its time."""
    ready = all(container.ready for container in containers)
    known = {condition["type"]: condition for condition in old}
    values = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    return {
        "phase": phase([container.state for container in containers], deleted=deleted),
        "conditions": [_condition(name, known.get(name), value) for name, value in values.items()],
        "containerStatuses": [container.status() for container in containers],
    }


def phase(states: Sequence[Object], *, deleted: bool) -> str:
    """Pending until a container has started; an end is final only when no restart can follow."""
    ends = [state["terminated"]["exitCode"] for state in states if "terminated" in state]
    if deleted and len(ends) == len(states):
        return "Failed" if any(ends) else "Succeeded"
    not_yet = all(state.get("waiting", {}).get("reason") in NOT_STARTED for state in states)
    return "Pending" if not_yet else "Running"


def _condition(name: str, known: Object | None, value: bool) -> Object:
    status = "True" if value else "False"
    if known and known["status"] == status:
        return known
    return {"type": name, "status": status, "lastTransitionTime": time_text(utc_now())}
