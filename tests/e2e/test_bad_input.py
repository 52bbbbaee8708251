"""Whatever is wrong with the command: exit code 2, one line with what to type, no traceback, no load."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.keyed_server import behind_a_key
from tests.e2e.locust_run import LOCUSTFILE, clean_environment
from tests.e2e.wire_server import TURNS, EndingByTurns
from tests.midstream.rehearsal.engine_process import engine
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer

LIMIT_S = 20.0  # twice what is promised


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def refusal(folder, *arguments: str, environ: dict[str, str] | None = None) -> str:
    """The one line that a wrong command ends with."""
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", *arguments],
        cwd=folder,
        env=clean_environment() | (environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert time.monotonic() - started < LIMIT_S
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("midstream: ")]
    assert len(lines) == 1, ended.stderr
    return lines[0]


BAD_ARGUMENTS = {
    "unknown fault": (["--rehearsal-fault", "nope"], r"nope.*choose from.*no-shutdown-timeout"),
    "negative number": (["--baseline", "-3"], r"--baseline.*write a duration such as 90"),
    "negative users": (["-u", "-5"], r"--users.*1 or more"),
    "empty host": (["--host", ""], r"--host.*give the URL.*http://localhost:8000"),
    "host without scheme": (["--host", "127.0.0.1:8000"], r"type http\(s\)://"),
    "another scheme": (["--host", "ftp://127.0.0.1:21"], r"ftp://127.*type http\(s\)://"),
    "a name without an address": (
        ["--host", "http://llm.midstream.invalid"],
        r"llm\.midstream\.invalid did not resolve.*check the URL",
    ),
    "refused": (["--host", "http://127.0.0.1:1"], r"127\.0\.0\.1:1.*refused.*check the URL"),
    "missing authority": (["--host", "https://a", "--cacert", "no.pem"], r"--cacert no\.pem: cannot be read"),
    "key without certificate": (["--host", "https://a", "--key", "no.pem"], "add --cert FILE"),
    "no key in the variable": (["--host", "http://127.0.0.1:1", "--api-key-env", "NONE"], "export NONE=KEY"),
    "results in a place that cannot be written": (["--results", "/proc/x"], "--results DIR"),
    "missing plan": (["--plan", "nowhere.yaml"], r"nowhere\.yaml.*No such file"),
    "rollout without a slash": (["--rollout", "vllm", "--trigger", "none"], "NAMESPACE/NAME"),
    "rollout without a trigger": (["--rollout", "a/b"], "set-image, set-model, .*none"),
    "trigger without its image": (["--trigger", "set-env"], "--set-env NAME=VALUE"),
    "rehearsal out of range": (["--rehearsal-grace", "0"], "grace"),
    "distributed": (["--master"], "distributed"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments(tmp_path, arguments, words):
    assert re.search(words, refusal(tmp_path, *arguments))


def test_bad_share_in_the_environment(tmp_path):
    assert "5%" in refusal(tmp_path, environ={"MAX_ERROR_RATE": "5"})


def test_no_target_inside_a_cluster(tmp_path):
    line = refusal(tmp_path, environ={"KUBERNETES_SERVICE_HOST": "127.0.0.1"})
    assert "--rollout NAMESPACE/NAME" in line


def test_a_host_that_does_not_answer(tmp_path, silent):
    assert "did not answer within 5" in refusal(tmp_path, "--host", silent)


def test_tokens_that_the_model_does_not_allow(tmp_path):
    with engine("--max-model-len", "256") as served:
        line = refusal(tmp_path, "--host", f"http://127.0.0.1:{served.port}", "--tokens", "300")
    assert re.search(r"--tokens 300: .* 256 tokens, .*: type --tokens \d+ or less", line)


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    with RawServer(behind_a_key("key", "")) as server:
        line = refusal(tmp_path, "--host", f"https://127.0.0.1:{server.port}")
    assert re.search(r"not trusted here.*--cacert FILE.*--insecure", line)


def test_a_server_that_wants_a_key(tmp_path):
    with RawServer(behind_a_key("key", "")) as server:
        line = refusal(tmp_path, "--insecure", "--host", f"https://127.0.0.1:{server.port}")
    assert re.search(r"answered 401.*--api-key-env NAME", line)


def no_tls(peer: Peer) -> None:
    """What a server without TLS says to a handshake."""
    peer.socket.recv(65_536)
    peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def test_https_at_a_port_of_plain_http(tmp_path):
    with RawServer(no_tls) as server:
        line = refusal(tmp_path, "--host", f"https://127.0.0.1:{server.port}")
    assert re.search(r"TLS.*check the URL", line)


def test_plain_http_at_a_port_of_tls(tmp_path):
    with RawServer(behind_a_key("key", "")) as server:
        line = refusal(tmp_path, "--host", server.url)
    assert re.search(r"cannot ask http://127.*check the URL", line)


NO_STREAMS = {
    "JSON": (TURNS["JSON"].play, r"not_sse.*choices"),
    "HTML": (TURNS["HTML"].play, r"not_sse.*Log in"),
    "an error": (TURNS["503"].play, r"http_5xx.*503 Busy"),
    "no sign of an end": (
        lambda peer, asked: peer.send(wire.response(events_without_signs(asked))),
        "no sign that a stream is complete",
    ),
    "a body that is cut": (
        TURNS["FIN within the body"].play,
        r"did not come whole .truncated.*after 3 chunks",
    ),
    "an event without end": (
        TURNS["an event without end"].play,
        r"did not come whole .malformed.*longer than 10485760 bytes",
    ),
}


def events_without_signs(count: int) -> list[dict[str, object]]:
    """Texts alone: neither ids nor usage, no finish_reason, no [DONE]."""
    return [{"model": "rev-a", "choices": [{"index": 0, "text": "x"}]} for _ in range(count)]


@pytest.mark.parametrize(("play", "words"), NO_STREAMS.values(), ids=NO_STREAMS)
def test_a_server_whose_probe_is_no_whole_stream(tmp_path, play, words):
    with RawServer(EndingByTurns(probe=play)) as server:
        line = refusal(tmp_path, "--host", server.url)
    assert re.search(words, line)


BAD_FILES = {
    "unknown plan key": ("--plan", "stream_second: 3\n", r"stream_second.*did you mean stream_seconds"),
    "unknown scenario key": ("--scenario", "scenarios: [{name: a, promts: [x]}]\n", "promts"),
    "missing prompt file": ("--scenario", "scenarios: [{name: a, prompt_file: no.txt}]\n", r"no\.txt"),
    "no YAML": ("--plan", "a: [\n", "YAML"),
}


@pytest.mark.parametrize(("option", "content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(tmp_path, option, content, words):
    file = tmp_path / "file.yaml"
    file.write_text(content)
    assert re.search(words, refusal(tmp_path, option, str(file)))


def test_missing_package_names_the_command_that_installs_it(tmp_path):
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError('gone', name='msgspec')\n")
    line = refusal(tmp_path, environ={"PYTHONPATH": os.fspath(tmp_path)})
    assert re.search(r"msgspec is missing: pip install -r .*requirements\.txt", line)
