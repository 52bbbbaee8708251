"""The steps of a smoke test, against a real engine and against servers that fail in one way each."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping

import pytest

from midstream import smoke
from midstream.smoke import Finding, Step, steps
from midstream.streams.deadlines import Deadlines
from midstream.streams.reactor import Reactor
from midstream.streams.reactor import reactor as of_reactor
from midstream.streams.target import Target
from tests.midstream.rehearsal.engine_process import engine
from tests.midstream.streams.raw_server import Peer, RawServer

LIMITS = Deadlines(connect_s=10.0, headers_s=10.0, first_token_s=10.0, idle_s=0.5, total_s=20.0)
OK, FAILED, UNKNOWN = Finding.OK, Finding.FAILED, Finding.UNKNOWN
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


@pytest.fixture
def reactor():
    reactor = Reactor(LIMITS)
    yield reactor
    reactor.close()


@pytest.fixture(scope="module")
def served():
    with engine() as running:
        yield f"http://127.0.0.1:{running.port}"


def answer(content: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(content), content)


def as_json(document: object, status: str = "200 OK") -> bytes:
    return answer(json.dumps(document).encode(), status)


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def token(text: str = "a", reason: str | None = None) -> bytes:
    return event({"model": "m", "choices": [{"index": 0, "text": text, "finish_reason": reason}]})


DONE = b"data: [DONE]\n\n"
WHOLE = token() * 15 + token(reason="length") + DONE


def stream(body: bytes) -> bytes:
    return STREAM_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


SOUND: dict[str, bytes] = {
    "health": answer(b""),
    "models": as_json({"data": [{"id": "m"}]}),
    "completion": as_json({"choices": [{"text": "Hello", "finish_reason": "length"}]}),
    "stream": stream(WHOLE),
}


def playing(answers: Mapping[str, bytes], seen: list[bytes] | None = None) -> Callable[[Peer], None]:
    """A server that gives these answers, each on a connection that it then closes."""

    def script(peer: Peer) -> None:
        request = peer.read_request()
        if seen is not None:
            seen.append(request)
        path = request.split(b" ")[1]
        if path.endswith(b"/health"):
            name = "health"
        elif path.endswith(b"/v1/models"):
            name = "models"
        else:
            name = "stream" if json.loads(request.partition(b"\r\n\r\n")[2])["stream"] else "completion"
        peer.send(answers[name])

    return script


@contextlib.contextmanager
def server(**changes: bytes) -> Iterator[str]:
    with RawServer(playing(SOUND | changes)) as running:
        yield running.url


def found(reactor: Reactor, url: str, **options) -> dict[str, Step]:
    asked = {"api": "completions", "model": None} | options
    return {step.name: step for step in steps(reactor, Target.parse(url), **asked)}


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_sound_engine_passes_all_steps(reactor, served, api):
    found_steps = found(reactor, served, api=api)
    assert [(step.name, step.finding) for step in found_steps.values()] == [
        ("health", OK),
        ("completion", OK),
        ("stream", OK),
    ]
    assert found_steps["health"].seen == "GET /health answered 200"
    assert found_steps["completion"].seen.startswith("model rev-abc answered '")
    assert found_steps["stream"].seen.startswith("16 tokens in ")
    assert "then [DONE]" in found_steps["stream"].seen
    assert "two readers agree" in found_steps["stream"].seen


def test_a_model_that_the_engine_does_not_serve_fails_both_requests(reactor, served):
    found_steps = found(reactor, served, model="nope")
    assert found_steps["health"].finding is OK
    for name in ("completion", "stream"):
        assert found_steps[name].finding is FAILED
        assert "nope" in found_steps[name].seen
    assert "answered 404" in found_steps["completion"].seen


@pytest.mark.parametrize("prefix", ["", "/v1", "/llm", "/llm/v1"])
def test_health_stands_beside_v1(reactor, prefix):
    seen: list[bytes] = []
    with RawServer(playing(SOUND, seen)) as running:
        found_steps = found(reactor, running.url + prefix, model="m")
    assert all(step.finding is OK for step in found_steps.values())
    paths = [request.split(b" ")[1].decode() for request in seen]
    base = prefix.removesuffix("/v1")
    assert paths == [f"{base}/health", f"{base}/v1/completions", f"{base}/v1/completions"]


CUT = STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(token()), token())
FAILURES: dict[str, tuple[dict[str, bytes], str, str]] = {
    "no health": ({"health": answer(b"", "404 Not Found")}, "health", "404: a server without it is asked"),
    "unhealthy": ({"health": answer(b"", "503 Service Unavailable")}, "health", "answered 503"),
    "health is no HTTP": ({"health": b"hello\r\n\r\n"}, "health", "HTTP"),
    "completion without JSON": ({"completion": answer(b"<html>")}, "completion", "no completion: b'<html>'"),
    "completion without choices": ({"completion": as_json({})}, "completion", "no completion"),
    "completion without text": (
        {"completion": as_json({"choices": [{"text": "", "finish_reason": "length"}]})},
        "completion",
        "without text",
    ),
    "completion aborted": (
        {"completion": as_json({"choices": [{"text": "He", "finish_reason": "abort"}]})},
        "completion",
        "finish_reason abort",
    ),
    "completion refused": (
        {"completion": as_json({"error": {"message": "engine dead"}}, "500 Internal Server Error")},
        "completion",
        "answered 500: engine dead",
    ),
    "no key": (
        {"completion": as_json({"error": "key"}, "401 Unauthorized")},
        "completion",
        "--api-key-env NAME",
    ),
    "completion cut": (
        {"completion": b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"},
        "completion",
        "promised 50 bytes, 1 came",
    ),
    "no [DONE]": (
        {"stream": stream(token() * 15 + token(reason="length"))},
        "stream",
        "16 tokens in 16 chunks came, but no [DONE]",
    ),
    "[DONE] that nothing closes": ({"stream": stream(WHOLE[:-1])}, "stream", "no [DONE]"),
    "no token": ({"stream": stream(DONE)}, "stream", "0 chunks came, but not one token"),
    "stream cut in its framing": ({"stream": CUT}, "stream", "truncated"),
    "stream cut cleanly": ({"stream": stream(token() * 3)}, "stream", "ended_early"),
    "stream aborted": ({"stream": stream(token() + token(reason="abort") + DONE)}, "stream", "aborted"),
    "error in the stream": (
        {"stream": stream(token() + event({"error": {"message": "dead"}}) + DONE)},
        "stream",
        "error_event",
    ),
    "JSON where a stream was asked": ({"stream": SOUND["completion"]}, "stream", "not_sse"),
    "stream refused for want of a key": (
        {"stream": as_json({"error": "key"}, "401 Unauthorized")},
        "stream",
        "--api-key-env NAME",
    ),
}


@pytest.mark.parametrize(("answers", "name", "words"), FAILURES.values(), ids=FAILURES)
def test_one_failure_is_told_and_the_other_steps_are_taken(reactor, answers, name, words):
    with server(**answers) as url:
        found_steps = found(reactor, url)
    assert [step.name for step in found_steps.values() if step.finding is not OK] == [name]
    assert found_steps[name].finding is FAILED
    assert words in found_steps[name].seen


def test_a_server_without_models_fails_what_needs_one_until_it_is_named(reactor):
    with server(models=answer(b"", "404 Not Found")) as url:
        found_steps = found(reactor, url)
        assert [step.finding for step in found_steps.values()] == [OK, FAILED, FAILED]
        assert "--model" in found_steps["completion"].seen
        assert all(step.finding is OK for step in found(reactor, url, model="m").values())


def test_health_can_be_left_out(reactor):
    with server(health=answer(b"", "404 Not Found")) as url:
        assert list(found(reactor, url, with_health=False)) == ["completion", "stream"]


def test_nobody_there_fails_every_step(reactor):
    with server() as url:
        pass
    found_steps = found(reactor, url)
    assert [step.finding for step in found_steps.values()] == [FAILED, FAILED, FAILED]
    assert "refused" in found_steps["health"].seen


def test_readers_that_disagree_leave_the_stream_unknown(reactor, monkeypatch):
    monkeypatch.setattr(smoke, "disagreement", lambda observed, traits: "the two readers disagree: x")
    for body in (WHOLE, token()):
        with server(stream=stream(body)) as url:
            step = found(reactor, url)["stream"]
        assert (step.finding, step.seen) == (UNKNOWN, "the two readers disagree: x")


def test_a_stream_that_failed_by_our_own_doing_leaves_it_unknown(reactor, monkeypatch):
    def broken(*_):
        raise OSError("too many open files")

    with server() as url:
        monkeypatch.setattr(of_reactor, "stream_bytes", broken)
        found_steps = found(reactor, url)
    assert [step.finding for step in found_steps.values()] == [OK, OK, UNKNOWN]
    assert "client_error" in found_steps["stream"].seen
    assert "too many open files" in found_steps["stream"].seen


def test_a_server_that_refuses_optional_fields_passes(reactor):
    def script(peer: Peer) -> None:
        request = peer.read_request()
        fields = json.loads(request.partition(b"\r\n\r\n")[2])
        refused = "return_token_ids" in fields
        peer.send(as_json({"error": "return_token_ids"}, "400 Bad Request") if refused else SOUND["stream"])

    with RawServer(script) as running:
        step = list(steps(reactor, Target.parse(running.url), "completions", "m", with_health=False))[-1]
    assert step.finding is OK
