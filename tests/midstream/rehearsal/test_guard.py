"""However a rehearsal ends, and whichever of its processes is killed, nothing of it is left."""

import json
import subprocess
import sys

import pytest

# Adopts all orphans, so that whatever is left behind becomes visible as its own descendant.
WITNESS = """
import json, os, signal, subprocess, sys, time
from midstream.rehearsal.processes import adopt_orphans, descendants, ended_children

adopt_orphans()
readable, writable = os.pipe()
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=writable)
os.close(writable)
pids = json.loads(os.fdopen(readable).readline())
pids["owner"] = owner.pid
before = len(descendants(os.getpid()))
begun = time.monotonic()
os.kill(pids[sys.argv[2]], int(sys.argv[3]))
spared = set() if sys.argv[2] == "owner" else {owner.pid}
kept = int(sys.argv[4])
while len(left := set(descendants(os.getpid())) - spared) > kept and time.monotonic() - begun < 10:
    for _ in ended_children():
        pass
    time.sleep(0.01)
print(json.dumps({"before": before, "left": len(left), "seconds": time.monotonic() - begun}))
for pid in {*left, *spared}:
    os.kill(pid, signal.SIGKILL)
"""

# Starts a guard, whose work has a child that daemonises.
OWNER = """
import os, subprocess, sys, time
readable, lifeline = os.pipe()
subprocess.Popen([sys.executable, "-c", GUARD, str(os.getpid())], stdin=readable, start_new_session=True)
if KEEPS_PIPE and os.fork() == 0:  # as the workers of `locust --processes` do
    time.sleep(100)
time.sleep(100)
"""
GUARD = """
import json, os, subprocess, sys, time
from midstream.rehearsal.guard import Owner, guard

def work():
    sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
    daemon = [sys.executable, "-c", f"import subprocess; subprocess.Popen({sleep!r}, start_new_session=True)"]
    subprocess.run(daemon, env={**os.environ, "HIDDEN": "1"})
    subprocess.Popen(sleep)
    print(json.dumps({"guard": os.getppid(), "child": os.getpid()}), flush=True)
    time.sleep(100)

sys.exit(guard(work, Owner(int(sys.argv[1]), 0), lambda: None))
"""


@pytest.mark.parametrize("killed", ["owner", "guard", "child"])
@pytest.mark.parametrize("signum", [pytest.param(9, id="SIGKILL"), pytest.param(15, id="SIGTERM")])
def test_the_end_of_one_is_the_end_of_all(killed, signum) -> None:
    seen = witness(killed, signum, keeps_pipe=False)
    assert seen["before"] == 5  # owner, guard, child, its child, the daemon
    assert seen["left"] == 0
    assert seen["seconds"] < 4


def test_a_fork_of_the_owner_that_keeps_the_pipe_does_not_keep_the_rehearsal() -> None:
    seen = witness("owner", 9, keeps_pipe=True)
    assert seen["before"] == 6
    assert seen["left"] == 1  # that fork
    assert seen["seconds"] < 4


def witness(killed: str, signum: int, *, keeps_pipe: bool) -> dict[str, float]:
    owner = f"GUARD = {GUARD!r}\nKEEPS_PIPE = {keeps_pipe}\n{OWNER}"
    done = subprocess.run(
        [sys.executable, "-c", WITNESS, owner, killed, str(signum), str(int(keeps_pipe))],
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
    )
    seen: dict[str, float] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize(
    ("work", "code"), [("lambda: 7", 7), ("lambda: 1 / 0", 1)], ids=["its own", "1 for a crash"]
)
def test_the_exit_code_is_the_works_and_the_end_is_told(work, code) -> None:
    script = f"""
import sys
from midstream.rehearsal.guard import guard
sys.exit(guard({work}, None, lambda: print("cleaned", flush=True)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (code, "cleaned\n")
    assert ("ZeroDivisionError" in done.stderr) is (code == 1)
