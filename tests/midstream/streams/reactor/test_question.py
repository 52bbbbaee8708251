import pytest

from midstream.streams.probe import learn, served_models
from midstream.streams.reactor.question import ANSWER_LIMIT_BYTES
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.reactor.driving import FIXTURES, answering, unused_port
from tests.midstream.streams.streams import VLLM

MODELS = (FIXTURES / "models.response.http").read_bytes()


def ask(reactor, server: RawServer, timeout_s: float = 15.0, **more):
    return reactor.ask(Target.parse(server.url), "GET", "/v1/models", timeout_s, **more)


def test_an_answer_and_the_served_models(reactor):
    with RawServer(answering(MODELS)) as server:
        answer = ask(reactor, server)
        assert (answer.status, answer.body) == (200, MODELS.partition(b"\r\n\r\n")[2])
        assert served_models(reactor, Target.parse(server.url))[0].name == "rev-abc"


def test_a_question_with_a_body(reactor):
    asked: list[bytes] = []

    def script(peer: Peer) -> None:
        asked.append(peer.read_request())
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with RawServer(script) as server:
        assert ask(reactor, server, body=b'{"a": 1}').body == b"{}"
    assert b"\r\nContent-Type: application/json\r\n" in asked[0]
    assert asked[0].endswith(b'\r\n\r\n{"a": 1}')


ENDLESS = [b"HTTP/1.1 200 OK\r\n\r\n", bytes(ANSWER_LIMIT_BYTES), b"x"]
BAD_ANSWERS = {
    "not HTTP": (answering(b"SSH-2.0\r\n"), ValueError, "does not answer in HTTP"),
    "endless": (answering(*ENDLESS, then=Peer.wait_for_close), ValueError, "longer than"),
    "cut": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno"), OSError, "2 came before"),
    "FIN at once": (answering(), OSError, "within the response head"),
    "RST": (answering(then=Peer.reset), OSError, "ECONNRESET"),
}


@pytest.mark.parametrize(("script", "error", "words"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_is_told(reactor, script, error, words):
    with RawServer(script) as server, pytest.raises(error, match=words):
        ask(reactor, server)


def test_nobody_there_is_told(reactor):
    with pytest.raises(OSError, match="ECONNREFUSED"):
        reactor.ask(Target.parse(f"http://127.0.0.1:{unused_port()}"), "GET", "/", 15.0)


def test_a_question_has_a_limit(reactor):
    with (
        RawServer(answering(then=Peer.wait_for_close)) as server,
        pytest.raises(TimeoutError, match=r"did not answer within 0\.2 s"),
    ):
        ask(reactor, server, 0.2)


def test_a_question_is_no_stream(reactor):
    seen = []

    def script(peer: Peer) -> None:
        peer.read_request()
        seen.append((reactor.open_by_revision(), reactor.flowing()))
        peer.send(MODELS)

    with RawServer(script) as server:
        ask(reactor, server)
    assert seen == [({}, frozenset())]


def test_traits_are_learnt_over_a_real_socket(reactor):
    with RawServer(answering(wire.whole(16))) as server:
        assert learn(reactor, Target.parse(server.url), "completions", "m").traits == VLLM
