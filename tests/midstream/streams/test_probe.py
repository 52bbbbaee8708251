import json
from typing import Any

import pytest

from midstream.streams.exchange import Exchange
from midstream.streams.probe import ModelUnknownError, ServedModel, learn, served_models
from midstream.streams.request import payload_of
from midstream.streams.target import Target
from midstream.streams.traits import NO_SIGN, OPTIONAL_FIELDS, Traits, TraitsUnknownError, UsageShown
from tests.midstream.streams import wire
from tests.midstream.streams.streams import DEADLINES, feed

TARGET = Target.parse("http://h:1")


class Server:
    """Answers a payload by `answer(fields) -> bytes`; keeps what it was asked."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def observe(self, target, request, traits):
        fields = json.loads(payload_of(request, traits))
        self.asked.append(fields)
        exchange = Exchange(request, traits, DEADLINES, opened_ns=0)
        exchange.connected(1, "", "")
        exchange.sent(2)
        feed(exchange, [self.answer(fields)])
        exchange.eof(10**6)
        return exchange.observed()


def refusal(status: str, message: str) -> bytes:
    body = json.dumps({"error": {"message": message}}).encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def sent_fields(fields: dict[str, Any]) -> set[str]:
    return {name for name in OPTIONAL_FIELDS if name in fields or name in fields.get("stream_options", {})}


def plain(count: int, finish: str | None, done: bool = True) -> bytes:
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]} for _ in range(count)
    ]
    events[-1]["choices"][0]["finish_reason"] = finish
    return wire.response([*events, *(["[DONE]"] if done else [])])


def strict(*unknown: str, named: bool = True):
    """A server that answers 400 to these fields; whether it names one."""

    def answer(fields: dict[str, Any]) -> bytes:
        wrong = sorted(sent_fields(fields) & set(unknown))
        if wrong:
            return refusal("400 Bad Request", f"unknown field {wrong[0]}" if named else "bad request")
        return wire.whole(fields["max_tokens"])

    return answer


PROFILES = {
    "vLLM": (
        strict(),
        {"done": True, "token_ids": True, "usage": UsageShown.CONTINUOUS, "honours_length": True},
    ),
    "refuses a field by name": (
        strict("ignore_eos"),
        {"optional": frozenset(OPTIONAL_FIELDS) - {"ignore_eos"}},
    ),
    "refuses three fields by name": (
        strict("ignore_eos", "min_tokens", "return_token_ids"),
        {"optional": frozenset(OPTIONAL_FIELDS) - {"ignore_eos", "min_tokens", "return_token_ids"}},
    ),
    "refuses a field without naming it": (
        strict("min_tokens", named=False),
        {"optional": frozenset(OPTIONAL_FIELDS) - {"min_tokens"}},
    ),
    "refuses all without naming them": (strict(*OPTIONAL_FIELDS, named=False), {"optional": frozenset()}),
    "ignores ignore_eos": (
        lambda _: wire.response([*wire.tokens(9, "stop"), wire.closing(9), "[DONE]"]),
        {"honours_length": False, "finish_reason": True, "done": True},
    ),
    "no usage, no ids": (
        lambda _: plain(16, "length"),
        {"usage": UsageShown.NONE, "token_ids": False, "honours_length": True},
    ),
    "no [DONE]": (lambda _: plain(16, "stop", done=False), {"done": False, "finish_reason": True}),
    "no finish_reason": (lambda _: plain(16, None), {"done": True, "finish_reason": False}),
}


@pytest.mark.parametrize(("answer", "shown"), PROFILES.values(), ids=PROFILES)
def test_traits_of_a_wire_profile(answer, shown):
    traits = learn(Server(answer), TARGET, "completions", "m").traits
    assert {name: getattr(traits, name) for name in shown} == shown


def test_the_probe_asks_for_the_full_contract_of_16_tokens():
    server = Server(strict())
    learn(server, TARGET, "completions", "m")
    assert len(server.asked) == 1
    assert sent_fields(server.asked[0]) == set(OPTIONAL_FIELDS)
    assert (server.asked[0]["max_tokens"], server.asked[0]["min_tokens"]) == (16, 16)


def test_422_is_a_refusal_of_fields_too():
    def answer(fields: dict[str, Any]) -> bytes:
        return refusal("422 Unprocessable", "ignore_eos") if "ignore_eos" in fields else wire.whole(16)

    assert "ignore_eos" not in learn(Server(answer), TARGET, "chat", "m").traits.optional


HOPELESS = {
    "no sign": (plain(16, None, done=False), NO_SIGN),
    "cut cleanly": (wire.response(wire.tokens(5, None)), NO_SIGN),
    "cut": (wire.HEAD + wire.body(wire.tokens(5, None)), r"did not come whole \(truncated\).*after 5 chunks"),
    "bad bytes": (wire.HEAD + b"zz\r\n", r"did not come whole \(malformed\).*begins with b'zz"),
    "aborted": (wire.response([wire.token(1, finish="abort"), "[DONE]"]), r"whole \(aborted\)"),
    "error event": (wire.response([{"error": {"message": "engine died"}}, "[DONE]"]), "engine died"),
    "always 400": (refusal("400 Bad Request", "too long"), "400 Bad Request: too long"),
    "404": (refusal("404 Not Found", "no model m"), "404 Not Found: no model m"),
    "JSON": (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        "no event stream",
    ),
}


@pytest.mark.parametrize(("data", "words"), HOPELESS.values(), ids=HOPELESS)
def test_no_traits_without_a_whole_stream(data, words):
    with pytest.raises(TraitsUnknownError, match=words):
        learn(Server(lambda _: data), TARGET, "completions", "m")


class Models:
    def __init__(self, answer) -> None:
        self.answer = answer

    def ask(self, target, method, path, timeout_s):
        assert (method, path) == ("GET", "/v1/models")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_served_models_in_the_servers_order():
    answer = (200, b'{"data": [{"id": "rev-a", "max_model_len": 2048}, {"id": "tiny"}]}')
    assert served_models(Models(answer), TARGET) == (ServedModel("rev-a", 2048), ServedModel("tiny", None))


NO_MODEL = {
    "no HTTP": ValueError("it does not answer in HTTP"),
    "not JSON": (200, b"<html>"),
    "no text": (200, b"\xff"),
    "error": (500, b'{"error": "x"}'),
    "error in HTML": (502, b"<html>"),
    "no list": (200, b'{"data": {}}'),
    "empty list": (200, b'{"data": []}'),
    "no name": (200, b'{"data": [{"id": null}]}'),
    "no object": (200, b"[]"),
}


@pytest.mark.parametrize("answer", NO_MODEL.values(), ids=NO_MODEL)
def test_no_model_says_what_to_do(answer):
    with pytest.raises(ModelUnknownError, match="--model"):
        served_models(Models(answer), TARGET)


def test_a_server_that_cannot_be_reached_is_no_matter_of_models():
    with pytest.raises(ModelUnknownError, match=r"refused.*check the URL, http or https") as told:
        served_models(Models(ConnectionRefusedError("refused")), TARGET)
    assert "--model" not in str(told.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_says_how_to_give_it(status):
    with pytest.raises(ModelUnknownError, match=f"{status}.*--api-key-env NAME"):
        served_models(Models((status, b"who are you")), TARGET)


def test_unknown_traits_demand_nothing():
    assert Traits().missing != ()
    assert Traits().optional == frozenset(OPTIONAL_FIELDS)
