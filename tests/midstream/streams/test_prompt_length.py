"""The tokens of a prompt as a server counts them."""

import json
from typing import Any

import pytest

from midstream.streams.deadlines import Deadlines
from midstream.streams.prompt_length import prompt_tokens
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target
from tests.midstream.rehearsal.engine_process import engine

TARGET = Target.parse("http://h:1")
PROMPT = "How are you? " * 4


class Server:
    """Gives one answer, or fails; keeps what it was asked."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def ask(self, target, method, path, timeout_s, body):
        self.asked.append((method, path, json.loads(body)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "completions": ("/v1/completions", {"prompt": PROMPT}),
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}),
}


@pytest.mark.parametrize("api", ASKED)
def test_it_costs_one_token(api):
    path, text = ASKED[api]
    server = Server((200, b'{"choices": [{}], "usage": {"prompt_tokens": 7, "total_tokens": 8}}'))
    assert prompt_tokens(server, TARGET, api, "m", PROMPT) == 7
    assert server.asked == [("POST", path, {"model": "m", "max_tokens": 1, **text})]


NOT_TOLD = {
    "too long": (400, b'{"error": {"message": "maximum context length"}}'),
    "no usage": (200, b'{"choices": []}'),
    "no number": (200, b'{"usage": {"prompt_tokens": null}}'),
    "none": (200, b'{"usage": {"prompt_tokens": 0}}'),
    "HTML": (200, b"<html>"),
    "no text": (200, b"\xff"),
    "silence": TimeoutError("late"),
    "no HTTP": ValueError("no HTTP"),
}


@pytest.mark.parametrize("answer", NOT_TOLD.values(), ids=NOT_TOLD)
def test_what_is_not_told_is_not_known(answer):
    assert prompt_tokens(Server(answer), TARGET, "completions", "m", PROMPT) is None


@pytest.mark.parametrize("api", ASKED)
def test_an_answer_that_just_fits_is_taken_one_token_more_is_not(api):
    path, text = ASKED[api]
    reactor = Reactor(Deadlines())
    with engine("--max-model-len", "300") as served:
        target = Target.parse(f"http://127.0.0.1:{served.port}")
        counted = prompt_tokens(reactor, target, api, "tiny", PROMPT)
        assert counted is not None
        bodies = [{"model": "tiny", "max_tokens": 300 - counted + more, **text} for more in (0, 1)]
        statuses = [
            reactor.ask(target, "POST", path, 20.0, json.dumps(body).encode()).status for body in bodies
        ]
    reactor.close()
    assert statuses == [200, 400]
