"""One call starts a whole rehearsal; it ends with whoever made the call; two do not meet."""

import json
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from midstream.rehearsal.launch import LaunchError, Rehearsal, start
from midstream.rehearsal.plan import RehearsalPlan

QUICK = RehearsalPlan(load_seconds=0)
DEADLINE_S = 20


@pytest.fixture(scope="module")
def two() -> Iterator[list[Rehearsal]]:
    with ThreadPoolExecutor(2) as pool:
        started = list(pool.map(start, [RehearsalPlan(load_seconds=0, tokens_per_second=50), QUICK]))
    yield started
    for rehearsal in started:
        rehearsal.stop()
        rehearsal.stop()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as response:
        return json.load(response)


def server(rehearsal: Rehearsal) -> str:
    config = yaml.safe_load(Path(rehearsal.announcement.kubeconfig).read_text())
    return str(config["clusters"][0]["cluster"]["server"])


def objects(rehearsal: Rehearsal, plural: str) -> list[Any]:
    found: list[Any] = get(f"{server(rehearsal)}/api/v1/namespaces/llm-serving/{plural}")["items"]
    return found


def test_it_announces_a_healthy_rollout_and_its_services(two) -> None:
    told = two[0].announcement
    assert (told.namespace, told.rollout) == ("llm-serving", "vllm")
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{told.namespace}/rollouts/{told.rollout}"
    assert get(server(two[0]) + path)["status"]["phase"] == "Healthy"
    services = {service["metadata"]["name"]: service for service in objects(two[0], "services")}
    for name, url in ((told.stable_service, told.stable_url), (told.preview_service, told.preview_url)):
        (ingress,) = services[name]["status"]["loadBalancer"]["ingress"]
        assert url == f"http://{ingress['ip']}:{services[name]['spec']['ports'][0]['port']}"


def test_the_stable_service_leads_to_an_engine_that_names_its_revision(two) -> None:
    (pod,) = objects(two[0], "pods")
    models = [model["id"] for model in get(two[0].announcement.stable_url + "/v1/models")["data"]]
    assert models == [pod["metadata"]["labels"]["rollouts-pod-template-hash"], "rehearsal-model"]


def test_the_plan_reaches_the_pods(two) -> None:
    for rehearsal, rate in zip(two, ("50", "20"), strict=True):
        (pod,) = objects(rehearsal, "pods")
        assert f"--tokens-per-second={rate}" in pod["spec"]["containers"][0]["args"]


def test_only_who_can_read_the_kubeconfig_reaches_the_api(two) -> None:
    path = Path(two[0].announcement.kubeconfig)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    base = server(two[0]).rpartition("/")[0]
    for wrong in (f"{base}/version", f"{base}/x/version"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(wrong)
    assert get(f"{server(two[0])}/version")["gitVersion"]


def test_two_rehearsals_share_no_address_and_the_end_of_one_spares_the_other(two) -> None:
    ranges = {rehearsal.announcement.stable_url.rpartition(".")[0] for rehearsal in two}
    assert len(ranges) == 2
    folder = Path(two[1].announcement.kubeconfig).parent
    assert two[1].running
    two[1].stop()
    assert not two[1].running
    assert not folder.exists()
    host, port = two[1].announcement.stable_url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=DEADLINE_S)
    assert get(two[0].announcement.stable_url + "/v1/models")["data"]


def test_a_wrong_fault_is_one_sentence_and_exit_code_2() -> None:
    with pytest.raises(LaunchError, match=r"no fault named 'nope': choose from .*, bad-preview") as caught:
        start(QUICK, ["nope"])
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_wrong_number_names_its_option() -> None:
    with pytest.raises(LaunchError, match="--pre-stop -1") as caught:
        start(RehearsalPlan(pre_stop_s=-1))
    assert caught.value.exit_code == 2


def fault_with(tmp_path: Path, command: list[str]) -> str:
    path = tmp_path / "pods.yaml"
    edit = {
        "object": "Rollout/vllm",
        "op": "replace",
        "path": "/spec/template/spec/containers/vllm/command",
        "value": command,
    }
    path.write_text(yaml.safe_dump({"name": "pods", "sentence": "Other pods.", "manifest": [edit]}))
    return str(path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(
            ["python", "-c", "print('no GPU'); raise SystemExit(5)"], ["exit code 5", "no GPU"], id="exits"
        ),
        pytest.param(["no-such-program"], ["exit code 128", "no-such-program"], id="does not exist"),
    ],
)
def test_pods_that_end_at_once_are_told_with_their_last_words(tmp_path, command, said) -> None:
    begun = time.monotonic()
    with pytest.raises(LaunchError) as caught:
        start(QUICK, [fault_with(tmp_path, command)])
    assert time.monotonic() - begun < 10
    for words in said:
        assert words in str(caught.value)


OTHER = (
    "env WHERE=there python -m midstream.rehearsal.engine --host=$(POD_IP) --port=$(PORT) "
    "--served-model-name $(REVISION) $(MODEL) another-name"
)


def test_a_pod_command_serves_in_place_of_the_engine() -> None:
    rehearsal = start(QUICK, pod_command=OTHER)
    try:
        (pod,) = objects(rehearsal, "pods")
        revision = pod["metadata"]["labels"]["rollouts-pod-template-hash"]
        models = [model["id"] for model in get(rehearsal.announcement.stable_url + "/v1/models")["data"]]
        assert models == [revision, "rehearsal-model", "another-name"]
    finally:
        rehearsal.stop()


def test_a_wrong_pod_command_ends_the_start_with_code_2() -> None:
    with pytest.raises(LaunchError, match="its command cannot be run: no-such-program") as caught:
        start(QUICK, pod_command="no-such-program")
    assert caught.value.exit_code == 2


# Adopts all orphans: whatever an owner leaves behind becomes visible as a descendant.
WITNESS = """
import json, os, signal, subprocess, sys, time
from midstream.rehearsal.processes import adopt_orphans, descendants, ended_children

adopt_orphans()
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
owner.stdout.readline()
before = len(descendants(os.getpid()))
begun = time.monotonic()
os.kill(owner.pid, int(sys.argv[2]))
while (left := descendants(os.getpid())) and time.monotonic() - begun < 10:
    for _ in ended_children():
        pass
    time.sleep(0.01)
print(json.dumps([before, len(left), time.monotonic() - begun]))
for pid in left:
    os.kill(pid, signal.SIGKILL)
"""
OWNER = """
import sys, time
from midstream.rehearsal.launch import start
from midstream.rehearsal.plan import RehearsalPlan
EARLY
start(RehearsalPlan(load_seconds=LOAD), [FAULT])
print("started", flush=True)
time.sleep(100)
"""
DAEMONISES_AND_SERVES = """
import os, subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
daemonises = f"import subprocess; subprocess.Popen({sleep!r}, start_new_session=True)"
subprocess.run([sys.executable, "-c", daemonises])
os.execv(sys.executable, [sys.executable, "-m", "midstream.rehearsal.engine", *sys.argv[1:]])
"""


def witness(owner: str, signum: int) -> tuple[int, int, float]:
    done = subprocess.run(
        [sys.executable, "-c", WITNESS, owner, str(signum)], stdout=subprocess.PIPE, timeout=60, check=True
    )
    before, left, seconds = json.loads(done.stdout)
    return before, left, seconds


def test_an_owner_killed_leaves_nothing_behind_not_even_daemons_of_pods(tmp_path) -> None:
    fault = fault_with(tmp_path, ["python", "-c", DAEMONISES_AND_SERVES])
    owner = OWNER.replace("EARLY", "").replace("LOAD", "0").replace("FAULT", repr(fault))
    before, left, seconds = witness(owner, signal.SIGKILL)
    assert before >= 6  # owner, guard, cluster, proxy, engine, daemon
    assert left == 0
    assert seconds < 4


def test_ctrl_c_during_the_start_leaves_nothing_behind() -> None:
    early = "import threading; threading.Timer(0.8, lambda: print('starting', flush=True)).start()"
    owner = OWNER.replace("EARLY", early).replace("LOAD", "60").replace("FAULT", "'short-grace'")
    before, left, seconds = witness(owner, signal.SIGINT)
    assert before >= 2
    assert left == 0
    assert seconds < 6


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
from midstream.rehearsal.launch import start
from midstream.rehearsal.plan import RehearsalPlan
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.02)
ticking = gevent.spawn(tick)
rehearsal = start(RehearsalPlan(load_seconds=0))
rehearsal.stop()
print(len(ticks))
"""


def test_other_greenlets_run_while_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT], stdout=subprocess.PIPE, timeout=60, check=True, text=True
    )
    assert int(done.stdout) > 10
