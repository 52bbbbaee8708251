"""The smoke command: options that are wrong, the lines it prints, its exit codes."""

import subprocess
import sys
from typing import Any

import pytest

from midstream import smoke, smoke_command
from midstream.rehearsal import launch
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rollouts.client import Cluster, Listing, NotFoundError, UnreachableError
from midstream.rollouts.path import NoPathError, ServicePath
from midstream.smoke_command import main
from tests.midstream.rehearsal.engine_process import ROOT, engine
from tests.midstream.streams.raw_server import RawServer
from tests.midstream.test_smoke import SOUND, answer, as_json, playing, server, stream, token


def test_a_sound_engine_gives_three_lines_and_0():
    with engine() as running:
        url = f"http://127.0.0.1:{running.port}"
        done = subprocess.run(
            [sys.executable, "-m", "midstream", "smoke", "--host", url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == f"smoke of {url}: the URL given"
    assert [line.split()[:2] for line in lines] == [["ok", "health"], ["ok", "completion"], ["ok", "stream"]]


def test_one_failed_step_gives_1_and_the_others_their_lines(capsys):
    with server(stream=stream(token())) as url:
        assert main(["--host", url]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["ok", "health"],
        ["ok", "completion"],
        ["FAILED", "stream"],
    ]


DISAGREE = "the two readers disagree: x"


@pytest.mark.parametrize(
    ("health", "code"), [("200 OK", 3), ("503 Away", 1)], ids=["nothing failed", "another step failed"]
)
def test_a_stream_in_doubt_gives_3_unless_a_step_failed(health, code, capsys, monkeypatch):
    monkeypatch.setattr(smoke, "disagreement", lambda observed, traits: DISAGREE)
    with server(health=answer(b"", health)) as url:
        assert main(["--host", url]) == code
    assert f"unknown stream      {DISAGREE}" in capsys.readouterr().out


def test_the_words_of_a_server_cannot_steer_a_terminal(capsys):
    with server(completion=as_json({"error": {"message": "\x1b[2Jgone\n\u202eok"}}, "500 Oh")) as url:
        assert main(["--host", url]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len(out.splitlines()) == 4


def test_headers_and_key_go_with_every_request_and_are_never_shown(capsys, monkeypatch):
    monkeypatch.setenv("SMOKE_KEY", "s3cret")
    seen: list[bytes] = []
    with RawServer(playing(SOUND, seen)) as running:
        url = f"http://llm.test:{running.port}"
        options = ["--resolve", f"llm.test:{running.port}:127.0.0.1", "--header", "X-Team: s3arch"]
        assert main(["--host", url, "--api-key-env", "SMOKE_KEY", *options]) == 0
    assert len(seen) == 4
    for request in seen:
        assert b"\r\nAuthorization: Bearer s3cret\r\n" in request
        assert b"\r\nX-Team: s3arch\r\n" in request
    captured = capsys.readouterr()
    assert "s3" not in captured.out + captured.err


WRONG = {
    "no server": ([], "--host"),
    "two servers": (["--host", "http://h", "--rollout", "a/b"], "not allowed with"),
    "no URL": (["--host", "localhost:8000"], "type http(s)://HOST"),
    "preview of a URL": (["--host", "http://h", "--preview"], "go with --rollout"),
    "no namespace": (["--rollout", "vllm"], "write NAMESPACE/NAME"),
    "no key": (["--host", "http://h", "--api-key-env", "NO_SUCH_KEY"], "empty or not set"),
    "a header without value": (["--host", "http://h", "--header", "x"], "--header: write 'NAME: VALUE'"),
    "no address": (["--host", "http://h", "--resolve", "h:1:x"], "--resolve: 'x' is no address"),
    "no such file": (["--host", "https://h", "--cacert", "/no/such.pem"], "/no/such.pem"),
    "another API": (["--host", "http://h", "--api", "rpc"], "invalid choice"),
}


@pytest.mark.parametrize(("argv", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_command_gives_2_and_says_what_to_type(argv, words, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        sys.exit(main(argv))  # argparse exits by itself
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.splitlines()[-1]


class FakeCluster:
    """In the place of Cluster: one Rollout, or an error."""

    def __init__(self, found):
        self._found = found

    def get(self, kind, namespace, name):
        if isinstance(self._found, Exception):
            raise self._found
        if kind == "namespaces":
            return {}
        assert (kind, namespace, name) == ("rollouts", "llm", "vllm")
        return self._found

    def list(self, kind, namespace):
        assert (kind, namespace) == ("rollouts", "llm")
        return Listing([], "9")


def rollout_with(blue_green: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "vllm"}, "spec": {"strategy": {"blueGreen": blue_green}}}


ROLLOUT = rollout_with({"activeService": "stable", "previewService": "next"})


@pytest.fixture
def cluster(monkeypatch):
    def use(found, path=None):
        monkeypatch.setattr(Cluster, "connect", lambda context=None: FakeCluster(found))
        monkeypatch.setattr(smoke_command, "find_path", path)

    return use


@pytest.mark.parametrize(("options", "service"), [([], "stable"), (["--preview"], "next")], ids=str)
def test_a_rollout_is_asked_through_the_service_wanted(cluster, options, service, capsys):
    with server() as url:
        cluster(ROLLOUT, lambda _, namespace, name: ServicePath(url, f"Service {namespace}/{name}", ""))
        assert main(["--rollout", "llm/vllm", *options]) == 0
    assert capsys.readouterr().out.startswith(f"smoke of {url}: Service llm/{service}\n")


def no_path(*_):
    raise NoPathError("Service stable cannot be reached from here: give its URL with --host")


OF_CLUSTERS: dict[str, tuple[Any, list[str], int, str]] = {
    "no such Rollout": (None, [], 2, "there is no Rollout vllm in namespace llm"),
    "no preview": (rollout_with({}), ["--preview"], 2, "names no preview Service"),
    "no way there": (ROLLOUT, [], 2, "give its URL with --host"),
    "not found": (NotFoundError("no Argo Rollouts here"), [], 2, "no Argo Rollouts here"),
    "API server away": (UnreachableError("the API server is away"), [], 3, "the API server is away"),
}


@pytest.mark.parametrize("case", OF_CLUSTERS.values(), ids=OF_CLUSTERS)
def test_what_the_cluster_says(cluster, case, capsys):
    found, options, code, words = case
    cluster(found, no_path)
    assert main(["--rollout", "llm/vllm", *options]) == code
    assert words in capsys.readouterr().err


def test_an_unverified_certificate_is_said(capsys):
    with server() as url:
        assert main(["--host", url, "--insecure"]) == 0
    assert "is not verified (--insecure)" in capsys.readouterr().out.splitlines()[0]


def test_both_services_of_a_rehearsed_rollout_pass(capsys, monkeypatch):
    rehearsal = launch.start(RehearsalPlan(load_seconds=0, tokens_per_second=500))
    told = rehearsal.announcement
    try:
        monkeypatch.setenv("KUBECONFIG", told.kubeconfig)
        for options in ([], ["--preview"]):
            assert main(["--rollout", f"{told.namespace}/{told.rollout}", *options]) == 0
    finally:
        rehearsal.stop()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["smoke", "ok", "ok", "ok"] * 2
    assert lines[0].split()[2] != lines[4].split()[2]
