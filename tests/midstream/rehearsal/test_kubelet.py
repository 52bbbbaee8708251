"""Pods as real processes: environment, probes, the order of their end, nothing left behind."""

import asyncio
import contextlib
import signal
import textwrap
import time
from collections.abc import AsyncIterator, Callable

import pytest

from midstream.rehearsal import loopback
from midstream.rehearsal.images import Image
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.processes import Reaper, living_processes
from midstream.rehearsal.store import Object, Store

DEADLINE_S = 15
IMAGES = {"here:v1": Image(env={"FROM_IMAGE": "yes"}), "here:v2": Image()}

ENDS_AT_SIGTERM = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
HEALTHY_WHILE_FILE_EXISTS = """
import http.server, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(sys.argv[1] + self.path) else 503)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer((os.environ["POD_IP"], int(sys.argv[2])), Handler).serve_forever()
"""


class Node:
    """A store with a kubelet, and what a test asks of them."""

    def __init__(self, store: Store, kubelet: Kubelet, range_: loopback.Loopback) -> None:
        self.store = store
        self.kubelet = kubelet
        self.range = range_

    def create(self, code: str, *arguments: str, pod: Object | None = None, **container: object) -> None:
        self.create_command(
            ["python", "-c", ENDS_AT_SIGTERM + textwrap.dedent(code), *arguments], pod=pod, **container
        )

    def create_command(self, command: list[str], *, pod: Object | None = None, **container: object) -> None:
        metadata = {"name": "p", "namespace": "ns", "labels": {"app.io/rev": "7c9f"}}
        spec: Object = {"containers": [{"name": "c", "image": "here:v1", "command": command, **container}]}
        self.store.create("pods", {"metadata": metadata, "spec": {**spec, **(pod or {})}})

    @property
    def pod(self) -> Object | None:
        return self.store.get("pods", "ns", "p")

    @property
    def container(self) -> Object:
        statuses: list[Object] = (self.pod or {}).get("status", {}).get("containerStatuses") or [{}]
        return statuses[0]

    @property
    def log(self) -> str:
        return (self.kubelet.log_of("ns", "p") or b"").decode()

    @property
    def ready(self) -> bool:
        conditions = (self.pod or {}).get("status", {}).get("conditions", [])
        return {c["type"]: c["status"] for c in conditions}.get("Ready") == "True"

    def waiting(self) -> str:
        return str(self.container.get("state", {}).get("waiting", {}).get("reason"))

    async def logged(self, text: str) -> str:
        await until(lambda: text in self.log, lambda: f"{text!r} in the log: {self.log!r}")
        return self.log

    async def end(self, grace_s: float | None = None) -> Object:
        """Delete the pod, wait until it is gone; its terminated state and how long it took."""
        queue = self.store.subscribe(["pods"])
        begun = time.monotonic()
        self.store.delete("pods", "ns", "p", grace_s)
        await until(lambda: self.pod is None)
        took_s = time.monotonic() - begun
        last: Object = {}
        while not queue.empty():
            last = queue.get_nowait().object
        state = last["status"]["containerStatuses"][0]["state"]
        return {**state.get("terminated", {}), "took_s": took_s, "phase": last["status"]["phase"]}


async def until(condition: Callable[[], object], what: Callable[[], str] = lambda: "condition") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what()}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def node(back_off_s: float = 10.0, **has: int) -> AsyncIterator[Node]:
    store, range_ = Store(), loopback.take()
    kubelet = Kubelet(
        store,
        images=IMAGES,
        addresses=range_.pods(),
        reaper=Reaper(),
        node={f"example.com/{name}": number for name, number in has.items()},
        back_off_s=back_off_s,
    )
    running = asyncio.create_task(kubelet.run())
    try:
        yield Node(store, kubelet, range_)
        if store.get("pods", "ns", "p"):
            store.delete("pods", "ns", "p", 0)
        await until(lambda: not kubelet._pods)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        range_.release()


ENVIRONMENT = [
    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    {"name": "REV", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.io/rev']"}}},
    {"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "BOTH", "value": "$(POD)@$(REV) $(ABSENT) $$(POD)"},
]


async def test_a_container_gets_its_image_its_fields_and_expanded_arguments() -> None:
    code = """
        import os, sys, midstream
        print([os.environ[name] for name in ("FROM_IMAGE", "POD", "NS", "REV", "UID", "POD_IP", "BOTH")])
        print(sys.argv[1:], flush=True)
        import time; time.sleep(60)
        """
    async with node() as here:
        here.create(code, env=ENVIRONMENT, args=["--rev=$(REV)", "$(UNKNOWN)"])
        log = await here.logged("--rev")
        assert here.pod
        uid, ip = here.pod["metadata"]["uid"], here.pod["status"]["podIP"]
        assert log.splitlines()[0] == str(["yes", "p", "ns", "7c9f", uid, ip, "p@7c9f $(ABSENT) $(POD)"])
        assert log.splitlines()[1] == str(["--rev=7c9f", "$(UNKNOWN)"])
        assert ip.startswith(here.range.prefix + ".")


async def test_a_pod_without_probes_is_ready_once_it_runs() -> None:
    async with node() as here:
        here.create("import time; time.sleep(60)")
        await until(lambda: here.ready)
        assert here.pod
        assert here.pod["status"]["phase"] == "Running"
        assert set(here.container["state"]) == {"running"}
        assert here.container["imageID"].startswith("here@sha256:")


async def test_readiness_follows_the_probe_both_ways(tmp_path) -> None:
    probe = {"httpGet": {"path": "/up", "port": "http"}, "periodSeconds": 0.05, "failureThreshold": 2}
    async with node() as here:
        here.create(
            HEALTHY_WHILE_FILE_EXISTS,
            str(tmp_path),
            str(here.range.port),
            env=ENVIRONMENT,
            ports=[{"name": "http", "containerPort": here.range.port}],
            readinessProbe=probe,
        )
        await until(lambda: "running" in here.container.get("state", {}))
        assert not here.ready
        (tmp_path / "up").touch()
        await until(lambda: here.ready)
        (tmp_path / "up").unlink()
        await until(lambda: not here.ready)
        assert here.container["restartCount"] == 0


async def test_a_failed_liveness_probe_restarts_the_container_and_startup_holds_it_back(tmp_path) -> None:
    def probe(path: str, failures: int) -> Object:
        return {
            "httpGet": {"path": path, "port": here.range.port},
            "periodSeconds": 0.05,
            "failureThreshold": failures,
        }

    async with node() as here:
        (tmp_path / "alive").touch()
        here.create(
            HEALTHY_WHILE_FILE_EXISTS,
            str(tmp_path),
            str(here.range.port),
            env=ENVIRONMENT,
            startupProbe=probe("/started", 1000),
            livenessProbe=probe("/alive", 1),
            pod={"terminationGracePeriodSeconds": 1},
        )
        await until(lambda: "running" in here.container.get("state", {}))
        assert here.container["started"] is False
        (tmp_path / "started").touch()
        await until(lambda: here.container["started"])
        assert here.container["restartCount"] == 0
        (tmp_path / "alive").unlink()
        await until(lambda: here.container["restartCount"] >= 1)
        assert here.container["lastState"]["terminated"]["exitCode"] == 0


CATCHES_SIGTERM = """
import signal, sys, time
def end(*_):
    print("SIGTERM", time.monotonic(), flush=True)
    {action}
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True: time.sleep(60)
"""


@pytest.mark.parametrize(
    ("action", "code", "reason", "phase"),
    [
        pytest.param("sys.exit(0)", 0, "Completed", "Succeeded", id="exits with 0"),
        pytest.param("sys.exit(3)", 3, "Error", "Failed", id="exits with 3"),
        pytest.param(
            "import os; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)",
            143,
            "Error",
            "Failed",
            id="ended by the signal",
        ),
    ],
)
async def test_a_deleted_pod_gets_sigterm_and_its_exit_code_is_told(action, code, reason, phase) -> None:
    async with node() as here:
        here.create(CATCHES_SIGTERM.format(action=action))
        await here.logged("up")
        ended = await here.end(30)
        assert (ended["exitCode"], ended["reason"], ended["phase"]) == (code, reason, phase)
        assert ended["took_s"] < 10
        assert ended["startedAt"] <= ended["finishedAt"]


async def test_pre_stop_runs_inside_the_grace_and_sigkill_comes_at_its_end() -> None:
    async with node() as here:
        here.create(CATCHES_SIGTERM.format(action="pass"), lifecycle={"preStop": {"sleep": {"seconds": 0.5}}})
        await here.logged("up")
        begun = time.monotonic()
        log_at_end = asyncio.create_task(here.logged("SIGTERM"))
        ended = await here.end(3)
        sigterm_s = float((await log_at_end).split("SIGTERM ")[1].split()[0]) - begun
        assert 0.45 < sigterm_s < 2
        assert ended["exitCode"] == 137
        assert 2.9 < ended["took_s"] < 5


async def test_a_pre_stop_longer_than_the_grace_leaves_the_minimum_for_sigterm() -> None:
    async with node() as here:
        here.create(CATCHES_SIGTERM.format(action="pass"), lifecycle={"preStop": {"sleep": {"seconds": 30}}})
        await here.logged("up")
        ended = await here.end(1)
        assert 2.9 < ended["took_s"] < 5  # 1 s of grace, then the kubelet's minimum of 2 s
        assert ended["exitCode"] == 137


async def test_a_pre_stop_command_runs_in_the_container_and_sigterm_waits_for_it() -> None:
    hook = [
        "python",
        "-c",
        "import os, time; print('hook', os.environ['POD']); time.sleep(0.5); print('done')",
    ]
    async with node() as here:
        here.create(
            CATCHES_SIGTERM.format(action="time.sleep(0.5); sys.exit(0)"),
            env=ENVIRONMENT,
            lifecycle={"preStop": {"exec": {"command": hook}}},
        )
        await here.logged("up")
        log = asyncio.create_task(here.logged("SIGTERM"))
        await here.end(30)
        lines = [line.split()[0] for line in (await log).splitlines()]
        assert lines == ["up", "hook", "done", "SIGTERM"]


async def test_pid_1_without_an_action_for_sigterm_never_gets_it() -> None:
    async with node() as here:
        here.create_command(["sh", "-c", "echo up; sleep 60; echo over"])
        await here.logged("up")
        ended = await here.end(2)
        assert ended["exitCode"] == 137
        assert ended["took_s"] > 1.9


ONE_GPU = {"limits": {"example.com/gpu": 1}}


def conditions(pod: Object | None) -> dict[str, str]:
    found = (pod or {}).get("status", {}).get("conditions", [])
    return {condition["type"]: condition["status"] for condition in found}


async def test_a_pod_waits_until_there_is_room_for_it() -> None:
    async with node(gpu=1) as here:
        here.create_command(["sleep", "60"], resources=ONE_GPU)
        await until(lambda: here.ready)
        first = here.pod
        assert first
        second = {**first, "metadata": {"name": "q", "namespace": "ns"}, "status": {}}
        here.store.create("pods", second)
        await until(lambda: conditions(here.store.get("pods", "ns", "q")) == {"PodScheduled": "False"})
        waiting = here.store.get("pods", "ns", "q")
        assert waiting
        assert waiting["status"]["phase"] == "Pending"
        here.store.delete("pods", "ns", "p", 0)
        await until(lambda: conditions(here.store.get("pods", "ns", "q")).get("Ready") == "True")
        here.store.delete("pods", "ns", "q", 0)


async def test_a_pod_that_waits_for_room_is_gone_as_soon_as_it_is_deleted() -> None:
    async with node() as here:
        here.create_command(["sleep", "60"], resources=ONE_GPU)
        await until(lambda: conditions(here.pod) == {"PodScheduled": "False"})
        here.store.delete("pods", "ns", "p", 30)
        await until(lambda: here.pod is None)


async def test_sigkill_from_outside_is_exit_137_of_every_process_and_a_restart() -> None:
    code = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("child", child.pid, flush=True)
        time.sleep(600)
        """
    async with node() as here:
        here.create(code)
        child = int((await here.logged("child")).split()[1])
        here.kubelet.signal("ns", "p", signal.SIGKILL)
        await until(lambda: here.container.get("restartCount") == 1 and "running" in here.container["state"])
        assert here.container["lastState"]["terminated"]["exitCode"] == 137
        assert child not in [row.pid for row in living_processes()]


async def test_a_signal_from_outside_reaches_pid_1_alone_and_only_where_it_has_an_action() -> None:
    code = """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("up", flush=True)
        while True: time.sleep(0.1)
        """
    async with node() as here:
        here.create(code)
        await here.logged("up")
        here.kubelet.signal("ns", "p", signal.SIGUSR2)
        here.kubelet.signal("ns", "p", signal.SIGUSR1)
        await here.logged("heard")
        assert here.container["restartCount"] == 0


async def test_a_signal_to_a_pod_that_has_no_process_is_none() -> None:
    async with node() as here:
        here.kubelet.signal("ns", "absent", signal.SIGKILL)
        here.create_command(["/no/such/program"])
        await until(lambda: here.container.get("lastState"))
        here.kubelet.signal("ns", "p", signal.SIGKILL)
        assert here.container["lastState"]["terminated"]["reason"] == "StartError"


async def test_a_shorter_second_request_shortens_the_grace() -> None:
    async with node() as here:
        here.create(CATCHES_SIGTERM.format(action="pass"))
        await here.logged("up")
        here.store.delete("pods", "ns", "p", 60)
        await here.logged("SIGTERM")
        assert (await here.end(1))["exitCode"] == 137


DAEMONISES = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
leaves_session = subprocess.Popen(sleep, start_new_session=True).pid  # and keeps the environment
hides_environment = subprocess.Popen(sleep, env={}).pid  # and keeps the session
readable, writable = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writable, f"{os.getpid()} {subprocess.Popen(sleep).pid}".encode())
        time.sleep(100)
    os._exit(0)
print("pids", leaves_session, hides_environment, os.read(readable, 100).decode(), flush=True)
time.sleep(float(sys.argv[1]))
os._exit(0)
"""


@pytest.mark.parametrize("lives_s", [pytest.param(100, id="ended"), pytest.param(0, id="exits by itself")])
async def test_a_containers_end_is_the_end_of_all_its_descendants(lives_s) -> None:
    async with node(back_off_s=60) as here:
        here.create(DAEMONISES, str(lives_s))
        log = await here.logged("pids")
        pids = {int(pid) for pid in log.splitlines()[0].split()[1:]}
        assert len(pids) == 4
        if lives_s:
            assert pids <= {row.pid for row in living_processes()}
            await here.end(1)
        else:
            await until(lambda: here.container["restartCount"] >= 1)
        assert not pids & {row.pid for row in living_processes()}


async def test_a_crashing_container_restarts_at_once_and_then_backs_off() -> None:
    async with node(back_off_s=60) as here:
        here.create("import os; print('life', flush=True); os._exit(7)")
        await until(lambda: here.waiting() == "CrashLoopBackOff")
        assert here.log.count("life") == 2
        assert here.container["restartCount"] == 2
        assert here.container["lastState"]["terminated"]["exitCode"] == 7
        assert here.pod
        assert here.pod["status"]["phase"] == "Running"
        assert not here.ready


async def test_a_restart_follows_the_back_off() -> None:
    async with node(back_off_s=0.1) as here:
        here.create("import os; os._exit(7)")
        await until(lambda: here.container.get("restartCount", 0) >= 4)


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        pytest.param({"image": "here:v9"}, "ErrImagePull", "here:v9", id="unknown image"),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            "CreateContainerConfigError",
            "spec.nodeName",
            id="unknown field",
        ),
        pytest.param(
            {"readinessProbe": {"httpGet": {"port": "web"}}},
            "CreateContainerConfigError",
            "web",
            id="probe of a port without that name",
        ),
    ],
)
async def test_a_container_that_cannot_start_says_why(container, reason, message) -> None:
    async with node() as here:
        here.create("", **container)
        await until(lambda: here.waiting() == reason)
        assert message in here.container["state"]["waiting"]["message"]
        assert here.pod
        assert here.pod["status"]["phase"] == "Pending"


async def test_a_command_that_does_not_exist_is_a_start_error() -> None:
    async with node(back_off_s=60) as here:
        here.create_command(["no-such-program"])
        await until(lambda: here.waiting() == "CrashLoopBackOff")
        ended = here.container["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
        assert "no-such-program" in ended["message"]


async def test_a_spec_that_cannot_be_followed_is_refused_by_name() -> None:
    async with node() as here:
        here.create("pass", readinessProbe={"tcpSocket": {"port": 1}})
        await until(lambda: (here.pod or {}).get("status", {}).get("message"))
        assert here.pod
        assert "readinessProbe" in here.pod["status"]["message"]


async def test_a_pods_log_keeps_only_its_end() -> None:
    async with node() as here:
        here.create("print('x' * 1_500_000); print('the end', flush=True); import time; time.sleep(60)")
        log = await here.logged("the end")
        assert len(log) <= 1_000_000
