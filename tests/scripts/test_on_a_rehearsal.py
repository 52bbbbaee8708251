"""The scripts with REHEARSAL=1, on one real rehearsal: the whole chain, from variables to a verdict."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.scripts.stage import PROJECT, Ended, clean_environment

LIMIT_S = 180  # a promotion takes about 25 s; this machine may be slow and shared
QUICK = str(PROJECT / "config" / "plans" / "quick.yaml")
FIRST = "Rehearsal: an embedded cluster on this machine; nothing of yours is touched."


class Rehearsed:
    """Runs scripts on the rehearsal of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, script: str, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [PROJECT / "scripts" / script, *arguments],
            cwd=self.folder,
            env=self._environment(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str, **environ: str) -> Ended:
        with self.start(script, *arguments, **environ) as process:
            try:
                out, err = process.communicate(timeout=LIMIT_S)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Ended(process.returncode, out, err)

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        own = {"REHEARSAL": "1", "REHEARSAL_DIR": str(self.folder / "one that is up")}
        return clean_environment() | {"MIDSTREAM_PYTHON": sys.executable} | own | dict(environ)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsed]:
    """One that `up` left running, for all tests here: in their order."""
    made = Rehearsed(tmp_path_factory.mktemp("re hearsed"))
    up = made.run("deploy.sh", "up")
    try:
        assert (up.code, up.err) == (0, "")
        assert up.out.startswith(f"{FIRST}\n")
        yield made
    finally:
        down = made.run("deploy.sh", "down")
        assert (down.code, down.out) == (0, "The rehearsal has ended; nothing of it is left.\n")


def test_smoke_says_first_that_it_is_a_rehearsal(rehearsed) -> None:
    ended = rehearsed.run(
        "smoke_test.sh", KUBECONFIG="/of/mine", TARGET_HOST="http://of.mine", NAMESPACE="mine"
    )
    assert ended.code == 0, ended.err
    assert ended.err == f"{FIRST} (the one that is up; not used: TARGET_HOST)\n"
    assert re.findall(r"^ok +(\w+)", ended.out, re.MULTILINE) == ["health", "completion", "stream"]


def test_ctrl_c_reaches_the_load_once_and_its_verdict_s_code_comes_out(rehearsed) -> None:
    process = rehearsed.start("verify_no_downtime.sh", LOAD_DURATION="2m", LOAD_CONCURRENCY="2")
    with process:
        assert process.stdout is not None
        said = ""
        try:
            while not re.search(r"open: .*\b2\b", said):
                line = process.stdout.readline()
                assert line, said + process.communicate(timeout=LIMIT_S)[1]
                said += line
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 3, said + out + err
    assert re.findall("== .* ==", said) == [
        "== 1 of 3: preflight ==",
        "== 2 of 3: smoke ==",
        "== 3 of 3: load, verdict ==",
    ]
    assert "INCONCLUSIVE" in out
    assert "Traceback" not in err


def test_a_promotion_has_streams_enough_whatever_a_plain_load_uses(rehearsed) -> None:
    """A whole run, under a promotion, the one of these tests."""
    ended = rehearsed.run("verify_no_downtime.sh", "--promote", MIDSTREAM_PLAN=QUICK, LOAD_CONCURRENCY="2")
    assert ended.code == 0, ended.out + ended.err
    assert "PASS (rehearsal: nothing of yours was tested)" in ended.out
    assert re.search("users +80 ", ended.out)  # of the plan that preflight shows


def test_an_update_waits_in_the_preview_until_it_is_promoted(rehearsed) -> None:
    started = rehearsed.run("update.sh", IMAGE="midstream/engine:v2")
    assert started.code == 0, started.err
    waits = rehearsed.run("status.sh")
    assert (waits.code, "waits for its promotion" in waits.out) == (0, True), waits.out + waits.err
    promoted = rehearsed.run("update.sh", PROMOTE="1")
    assert promoted.code == 0, promoted.err
    assert rehearsed.run("smoke_test.sh", "--preview").code == 0


def test_logs_are_of_every_pod(rehearsed) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    ended = rehearsed.run("logs.sh", "--lines", "5")
    assert ended.code == 0, ended.err
    assert re.search(r"^\[pod/vllm-\S+/vllm\] ", ended.out, re.MULTILINE)


def test_a_port_needs_no_forwarding(rehearsed) -> None:
    ended = rehearsed.run("port_forward.sh")
    assert ended.code == 0
    assert re.search(r"needs no forwarding: http://127\.\S+:8000\n", ended.out)


def test_a_rehearsal_has_an_image_of_its_own(rehearsed) -> None:
    ended = rehearsed.run("deploy.sh", "up", IMAGE="mine:1")
    assert ended.code == 2
    assert re.fullmatch("deploy.sh: .*leave IMAGE and MODEL out\n", ended.err)
