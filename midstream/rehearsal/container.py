"""One container of a pod, from its first start to the pod's end, over all its restarts."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from midstream.rehearsal import probes
from midstream.rehearsal.images import Image, image_id
from midstream.rehearsal.podspec import Container, PodSpecError, PreStop, Probe, environment, expand
from midstream.rehearsal.processes import (
    MARKER,
    Log,
    Process,
    Reaper,
    catches,
    end_container,
    signal_container,
)
from midstream.rehearsal.store import Object
from midstream.rehearsal.timestamps import time_text, utc_now

# kubelet, kuberuntime_manager.go minimumGracePeriodInSeconds: SIGKILL is never sooner after SIGTERM
MINIMUM_GRACE_S = 2.0
# kubelet: the first restart comes at once, the next after 10 s, then doubled up to 5 min
BACK_OFF_S = 10.0
BACK_OFF_LIMIT_S = 300.0
FORCED = (signal.SIGKILL, signal.SIGSTOP)  # no process can have an action of its own for these
START_ERROR_CODE = 128  # containerd, for a command that cannot be run
PROJECT = Path(__file__).parents[2]


class Deletion:
    """The end of a pod as the API asks for it: whether, and how long it may take."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.grace_s = 0.0
        self._asked_s = 0.0
        self._changed = asyncio.Event()

    def ask(self, grace_s: float) -> None:
        """The pod is to end within `grace_s` of the first request; a later one can only shorten that."""
        if not self.asked.is_set():
            self._asked_s = asyncio.get_running_loop().time()
            self.grace_s = grace_s
        self.grace_s = min(self.grace_s, grace_s)
        self.asked.set()
        self._changed.set()

    async def passed(self, not_before_s: float = 0.0) -> None:
        """Wait until the deadline, as it stands by then, is over, and the loop's `not_before_s` too."""
        loop = asyncio.get_running_loop()
        while (left_s := max(self._asked_s + self.grace_s, not_before_s) - loop.time()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)


class PodContext(NamedTuple):
    """What the containers of a pod share."""

    pod: Object
    ip: str
    grace_s: float
    deletion: Deletion
    log: Log
    on_change: Callable[[], None]


class ContainerFailedError(Exception):
    """No process came to be; the reason and message are for the container's state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ContainerRun:
    """One container: its processes, its probes, its entry in the pod's status."""

    def __init__(
        self,
        spec: Container,
        context: PodContext,
        *,
        images: Mapping[str, Image],
        reaper: Reaper,
        back_off_s: float = BACK_OFF_S,
    ) -> None:
        self.spec = spec
        self.ready = False
        self.state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self._context = context
        self._images = images
        self._reaper = reaper
        self._back_off_s = back_off_s
        self._process: Process | None = None
        self._env: dict[str, str] = {}
        self._marker = ""
        self._started_at = ""
        self._started_up = False
        self._restarts = 0
        self._last_state: Object = {}

    def status(self) -> Object:
        """The entry of status.containerStatuses."""
        image = self._images.get(self.spec.image)
        return {
            "name": self.spec.name,
            "image": self.spec.image,
            "imageID": image_id(self.spec.image, image) if image else "",
            "containerID": f"midstream://{self._marker}" if self._marker else "",
            "ready": self.ready,
            "started": self._started_up,
            "restartCount": self._restarts,
            "state": self.state,
            "lastState": self._last_state,
        }

    async def run(self) -> None:
        """Start the container, and again whenever it ends, until the pod is deleted."""
        deletion = self._context.deletion
        try:
            while not deletion.asked.is_set():
                await self._live()
                if not deletion.asked.is_set():
                    await self._back_off()
        except ContainerFailedError as error:  # a restart would not mend it
            self._set_state({"waiting": {"reason": error.reason, "message": error.message}})
            await deletion.asked.wait()

    def signal(self, signum: int) -> None:
        """Signal what runs of it now, from outside of the container.

        KILL and STOP hit every process, as a limit of the whole container does; PID 1 gets any other.
        """
        if self._process is None:
            return
        if signum in FORCED:
            signal_container(self._marker, self._process.pid, signum)
        else:
            deliver(self._process, signum)

    async def _live(self) -> None:
        """From one start to the end of all processes of it."""
        self._marker = uuid.uuid4().hex
        self._started_at = time_text(utc_now())
        command = self._prepare()
        try:
            self._process = process = self._spawn(command)
        except OSError as error:
            self._terminated(START_ERROR_CODE, "StartError", f"{command[0]}: {error.strerror}")
            return
        self._started_up = self.spec.startup_probe is None
        self.ready = self._started_up and self.spec.readiness_probe is None
        self._set_state({"running": {"startedAt": self._started_at}})
        code = await self._until_ended(process)
        self._process = None
        await end_container(self._marker, process.pid)
        # kubelet: without an out-of-memory kill the reason follows the exit code
        self._terminated(code, "Completed" if code == 0 else "Error")

    def _prepare(self) -> list[str]:
        """Fill in environment and command. Raises ContainerFailedError."""
        image = self._images.get(self.spec.image)
        if image is None:
            known = ", ".join(self._images)
            raise ContainerFailedError(
                "ErrImagePull", f"no image {self.spec.image} in the rehearsal, only {known}"
            )
        try:
            declared = environment(self.spec, self._context.pod, self._context.ip)
            for probe in (self.spec.startup_probe, self.spec.readiness_probe, self.spec.liveness_probe):
                if probe:
                    self.spec.port(probe.http_get.port)
        except PodSpecError as error:
            raise ContainerFailedError("CreateContainerConfigError", str(error)) from None
        base = base_environment(self._context.pod["metadata"]["name"])
        self._env = {**base, **image.env, **declared, MARKER: self._marker}
        command = [expand(part, self._env) for part in (*self.spec.command, *self.spec.args)]
        if not command:
            raise ContainerFailedError(
                "CreateContainerConfigError", "no command: images here have no entrypoint"
            )
        return command

    def _spawn(self, command: list[str]) -> Process:
        program, *arguments = command
        if program == "python":  # some systems have none of that name beside python3
            program = sys.executable
        return self._reaper.start(
            [program, *arguments],
            env=self._env,
            cwd=self.spec.working_dir,
            on_output=self._context.log.append,
        )

    async def _until_ended(self, process: Process) -> int:
        """Probe the process and end it when it is sick or the pod is deleted; its exit code."""
        deletion = self._context.deletion
        sick = asyncio.Event()
        probing = asyncio.create_task(self._probe(sick))
        orders = [asyncio.create_task(event.wait()) for event in (sick, deletion.asked)]
        try:
            await first_of(process.ended, *orders)
            if not process.ended.done():
                await self._stop(process)
            return await process.ended
        finally:
            for task in (probing, *orders):
                task.cancel()

    async def _probe(self, sick: asyncio.Event) -> None:
        """Follow the probes; liveness and readiness wait for the startup probe."""
        if self.spec.startup_probe:
            await self._start_up(self.spec.startup_probe, sick)
        async with asyncio.TaskGroup() as group:
            if self.spec.readiness_probe:
                group.create_task(self._watch_readiness(self.spec.readiness_probe))
            if self.spec.liveness_probe:
                group.create_task(self._watch_liveness(self.spec.liveness_probe, sick))

    async def _start_up(self, probe: Probe, sick: asyncio.Event) -> None:
        async with aclosing(self._verdicts(probe)) as verdicts:
            async for succeeded in verdicts:
                if succeeded:
                    break
                sick.set()
        self._started_up = True
        self._set_ready(self.spec.readiness_probe is None)

    async def _watch_readiness(self, probe: Probe) -> None:
        async with aclosing(self._verdicts(probe)) as verdicts:
            async for succeeded in verdicts:
                self._set_ready(succeeded)

    async def _watch_liveness(self, probe: Probe, sick: asyncio.Event) -> None:
        async with aclosing(self._verdicts(probe)) as verdicts:
            async for succeeded in verdicts:
                if not succeeded:
                    sick.set()

    def _verdicts(self, probe: Probe) -> AsyncGenerator[bool, None]:
        host = probe.http_get.host or self._context.ip
        return probes.verdicts(probe, host, self.spec.port(probe.http_get.port))

    async def _stop(self, process: Process) -> None:
        """preStop, SIGTERM to PID 1 alone, SIGKILL at the deadline (kubelet, killContainer)."""
        deletion = self._context.deletion
        loop = asyncio.get_running_loop()
        if not deletion.asked.is_set():  # a failed probe: the pod lives on, its container has the whole grace
            deletion = Deletion()
            deletion.ask(self._context.grace_s)
        deadline = asyncio.create_task(deletion.passed())
        if self.spec.pre_stop and deletion.grace_s > 0:
            hook = asyncio.create_task(self._run_pre_stop(self.spec.pre_stop))
            await first_of(process.ended, hook, deadline)
            hook.cancel()
        deadline.cancel()
        deliver(process, signal.SIGTERM)
        kill_at = asyncio.create_task(deletion.passed(not_before_s=loop.time() + MINIMUM_GRACE_S))
        await first_of(process.ended, kill_at)
        kill_at.cancel()
        process.send(signal.SIGKILL)

    async def _run_pre_stop(self, hook: PreStop) -> None:
        """Wait for the hook's end; one that fails or cannot be run holds nothing up, as in the kubelet."""
        if hook.sleep:
            await asyncio.sleep(hook.sleep.seconds)
        if hook.exec:
            try:
                process = self._spawn([expand(part, self._env) for part in hook.exec.command])
            except OSError as error:
                self._context.log.append(f"preStop {hook.exec.command[0]}: {error.strerror}\n".encode())
                return
            await asyncio.shield(process.ended)

    async def _back_off(self) -> None:
        """Wait before a restart, or until the pod is deleted."""
        self._restarts += 1
        self._last_state = self.state
        if self._restarts > 1:
            delay_s = min(self._back_off_s * 2 ** (self._restarts - 2), BACK_OFF_LIMIT_S)
            message = f"back-off {delay_s:g}s restarting failed container={self.spec.name}"
            self._set_state({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._context.deletion.asked.wait(), delay_s)

    def _terminated(self, code: int, reason: str, message: str = "") -> None:
        self.ready = self._started_up = False
        ended: Object = {"exitCode": code, "reason": reason, "startedAt": self._started_at}
        if message:
            ended["message"] = message
        self._set_state({"terminated": {**ended, "finishedAt": time_text(utc_now())}})

    def _set_ready(self, ready: bool) -> None:
        if ready != self.ready:
            self.ready = ready
            self._context.on_change()

    def _set_state(self, state: Object) -> None:
        self.state = state
        self._context.on_change()


async def first_of(*waits: "asyncio.Future[Any]") -> None:
    """Wait until one of them is done; the others go on."""
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


def deliver(process: Process, signum: int) -> None:
    """A signal as PID 1 of a container gets it: not at all, when it has no action of its own for it.

    pid_namespaces(7): an init gets only signals that it has set a handler for. So `sh -c` swallows SIGTERM.
    """
    if not process.ended.done() and catches(process.pid, signum):
        process.send(signum)


def base_environment(hostname: str) -> dict[str, str]:
    """What every container has: of this process' own environment only what finding programs needs."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    return {
        **kept,
        "HOSTNAME": hostname,
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",  # else the log would end before the last lines of a killed program
    }
