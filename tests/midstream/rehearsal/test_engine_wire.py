"""The engine's bytes against those of a real vLLM, event by event."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from midstream.rehearsal.engine.sequence import Sampling, Sequence, key_of
from tests.midstream.rehearsal.engine_process import Engine, engine, get, post
from tests.midstream.rehearsal.engine_wire import capture, head, ids, read, request, runs, shape, shapes, text

USAGE = {"include_usage": True, "continuous_usage_stats": True}


@pytest.fixture(scope="module")
def vllm() -> Iterator[Engine]:
    """An engine with the limits of the captured one."""
    with engine("--max-model-len", "2048") as running:
        yield running


@pytest.fixture(scope="module")
def roomy() -> Iterator[Engine]:
    with engine() as running:
        yield running


REPLAYED = [
    "chat-complete",
    "chat-token-ids",
    "chat-without-usage",
    "chat-x-request-id",
    "completions-complete",
    "completions-echo",
    "completions-echo-token-ids",
    "completions-token-ids",
    "completions-token-ids-without-usage",
    "completions-usage-at-end",
    "completions-x-request-id",
    "http10-request-chunked",
]


@pytest.mark.parametrize("name", REPLAYED)
def test_a_stream_has_the_events_of_the_capture(vllm: Engine, name: str) -> None:
    ours, theirs = vllm.exchange(request(name)), capture(name)
    assert head(ours) == head(theirs)
    assert shapes(ours) == shapes(theirs)
    assert [len(part) for part in ids(ours)] == [len(part) for part in ids(theirs)]
    assert (ours.is_done, ours.ended, ours.rest) == (True, True, b"")


@pytest.mark.parametrize("name", ["completions-stream-interval-5", "chat-stream-interval-5"])
def test_a_stream_interval_groups_tokens_as_in_the_capture(name: str) -> None:
    with engine("--stream-interval", "5") as running:
        ours, theirs = running.exchange(request(name)), capture(name)
    assert head(ours) == head(theirs)
    assert shapes(ours) == shapes(theirs)
    assert [len(part) for part in ids(ours)] == [len(part) for part in ids(theirs)] == [1, 5, 5, 1]


NOT_STREAMED = [
    "chat-not-streaming",
    "completions-echo-not-streaming",
    "completions-not-streaming",
    "completions-not-streaming-token-ids",
]


@pytest.mark.parametrize("name", NOT_STREAMED)
def test_a_whole_answer_has_the_keys_of_the_capture(vllm: Engine, name: str) -> None:
    ours, theirs = vllm.exchange(request(name)), capture(name)
    assert head(ours) == head(theirs)
    assert shape(ours.body) == shape(theirs.body)
    assert ours.body["usage"]["completion_tokens"] == theirs.body["usage"]["completion_tokens"]


def captured_model(api: str, *, usage: bool, with_ids: bool) -> dict[str, list[Any]]:
    """The parts of a stream, taken from a capture: opening, first, middle, last token, closing."""
    names = {
        (False, False): "without-usage",
        (True, False): "complete",
        (False, True): "token-ids-without-usage",
        (True, True): "token-ids",
    }
    name = f"{api}-{names[usage, with_ids]}"
    if name == "chat-token-ids-without-usage":  # not captured: ids as in one file, all else as in another
        events = capture("chat-without-usage").events
        events[0]["prompt_token_ids"] = [1]
        for event in events[1:]:
            event["choices"][0]["token_ids"] = [1]
        found = [shape(event) for event in events]
    else:
        found = shapes(capture(name))
    found = json.loads(json.dumps(found).replace("my-req-1", "#").replace("my-req-2", "#"))
    opening, found = (found[:1], found[1:]) if api == "chat" else ([], found)
    closing, found = (found[-1:], found[:-1]) if usage else ([], found)
    first, *middle, last = found
    assert all(event == middle[0] for event in middle)
    return {"opening": opening, "first": [first], "middle": middle[:1], "last": [last], "closing": closing}


def expected_shapes(parts: dict[str, list[Any]], tokens: int) -> list[Any]:
    """The stream of `tokens` tokens in as many events."""
    if tokens == 1:
        # One event is first and last: the last one's keys, with the prompt's ids where the first has them.
        first, last = json.dumps(parts["first"]), json.dumps(parts["last"])
        marks = '["prompt_token_ids", "ids"]', '["prompt_token_ids", null]'
        only = last.replace(marks[1], marks[0]) if marks[0] in first else last
        return [*parts["opening"], *json.loads(only), *parts["closing"]]
    middle = parts["middle"] * (tokens - 2)
    return [*parts["opening"], *parts["first"], *middle, *parts["last"], *parts["closing"]]


@pytest.mark.parametrize("tokens", [1, 2, 17, 4000])
@pytest.mark.parametrize("with_ids", [False, True], ids=["without-ids", "with-ids"])
@pytest.mark.parametrize("usage", [False, True], ids=["without-usage", "with-usage"])
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_stream_of_any_length_is_made_of_the_captures_events(
    roomy: Engine, api: str, usage: bool, with_ids: bool, tokens: int
) -> None:
    options = {"stream_options": USAGE if usage else None, "return_token_ids": with_ids or None}
    ours = roomy.ask(api, max_tokens=tokens, **options)
    found = json.loads(json.dumps(shapes(ours)))
    expected = expected_shapes(captured_model(api, usage=usage, with_ids=with_ids), tokens)
    if tokens > 17:  # a reader that is slow for a moment gets several tokens in one event, as from vLLM
        assert runs(found) == runs(expected)
        assert len(found) <= len(expected)
    else:
        assert found == expected
    assert (ours.is_done, ours.ended, ours.rest) == (True, True, b"")
    assert not with_ids or sum(map(len, ids(ours))) == tokens
    if usage:
        assert ours.events[-1]["usage"]["completion_tokens"] == tokens
        counts = [event["usage"]["completion_tokens"] for event in ours.events[:-1]]
        assert counts == sorted(counts)
        assert counts[-1] == tokens
    assert len(text(ours)) > tokens  # a word is longer than a letter: none was left out


def test_texts_follow_from_the_first_name_and_the_prompt_alone(roomy: Engine) -> None:
    wire = roomy.ask("completions", max_tokens=50, return_token_ids=True)
    prompt = tuple(wire.events[0]["choices"][0]["prompt_token_ids"])
    sequence = Sequence(key_of("rev-abc", prompt, 0, None), prompt, Sampling(max_tokens=50, ignore_eos=True))
    expected = [sequence.step() for _ in range(50)]
    assert [token for part in ids(wire) for token in part] == [delta.token_ids[0] for delta in expected]
    assert text(wire) == "".join(delta.text for delta in expected)


@pytest.mark.parametrize("name", ["completions-n2", "chat-n2"])
def test_two_choices_each_have_the_events_of_the_capture(vllm: Engine, name: str) -> None:
    ours, theirs = vllm.exchange(request(name)), capture(name)
    assert head(ours) == head(theirs)
    assert shapes(ours)[-1] == shapes(theirs)[-1]
    assert ours.events[-1]["usage"]["completion_tokens"] == 12
    for choice in (0, 1):  # between the choices the order is not fixed
        mine, captured = (
            [
                shape(event)
                for event in wire.events
                if event["choices"] and event["choices"][0]["index"] == choice
            ]
            for wire in (ours, theirs)
        )
        assert mine == captured
        counts = [
            event["usage"]["completion_tokens"]
            for event in ours.events
            if event["choices"] and event["choices"][0]["index"] == choice
        ]
        assert counts[-6:] == [1, 2, 3, 4, 5, 6]  # each choice counts for itself
    assert ids(ours, 0) != ids(ours, 1)


def test_a_list_of_prompts_gets_a_choice_for_each(vllm: Engine) -> None:
    wire = vllm.ask(
        "completions", prompt=["Hello", "Hello, world"], stream_options=USAGE, return_token_ids=True
    )
    sizes = {}
    for event in wire.events[:-1]:
        (choice,) = event["choices"]
        if choice["prompt_token_ids"] is not None:
            sizes[choice["index"]] = len(choice["prompt_token_ids"])
    assert sizes == {0: 1, 1: 3}
    assert wire.events[-1]["usage"] == {"prompt_tokens": 4, "total_tokens": 10, "completion_tokens": 6}


@pytest.mark.parametrize(("api", "size"), [("completions", 3), ("chat", 2)])
def test_a_stop_string_ends_the_text_as_in_the_capture(vllm: Engine, api: str, size: int) -> None:
    whole = vllm.ask(api, max_tokens=60, return_token_ids=True)
    begins = text(whole).index(" ", 20) - 1  # the last letter of a word, the space, perhaps a letter
    stop = text(whole)[begins : begins + size]
    ours = vllm.ask(api, max_tokens=60, stop=[stop], stream_options=USAGE, return_token_ids=True)
    found, theirs = shapes(ours), shapes(capture(f"{api}-stop-string"))
    assert runs(found) == runs(theirs)
    last = ours.events[-2]["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("stop", stop)
    assert text(ours) == text(whole)[: text(whole).index(stop)]
    assert sum(map(len, ids(ours))) == ours.events[-1]["usage"]["completion_tokens"] < 60


def test_a_kept_connection_carries_two_streams_and_is_closed_after_five_seconds(vllm: Engine) -> None:
    first, second = (b"POST" + part for part in request("keepalive-two-streams").split(b"POST")[1:])
    theirs = capture("keepalive-two-streams")
    with vllm.connect() as connection:
        for data, captured in ((first, theirs), (second, read(theirs.rest))):
            connection.send(data)
            ours = connection.read_response()
            assert head(ours) == head(captured)
            assert shapes(ours) == shapes(captured)
            assert ours.rest == b""
        since = time.monotonic()
        assert connection.read_to_end() == b""
        assert time.monotonic() - since > 4.5


REFUSED = {
    "400-bad-json": post("completions", raw=b'{"model":}'),
    "400-max-tokens": post("completions", max_tokens=4096),
    "404-unknown-model": post("completions", model="nope"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_the_captured_one_to_the_byte(vllm: Engine, name: str) -> None:
    ours, theirs = vllm.exchange(REFUSED[name]), capture(name)
    assert head(ours) == head(theirs)
    assert ours.chunks == theirs.chunks


BAD_FIELDS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "prompt and output beyond the context": ("completions", {"max_tokens": 2047}, "input_tokens"),
    "a chat beyond the context": ("chat", {"max_tokens": 2048}, "input_tokens"),
    "a word for a number": ("completions", {"max_tokens": "many"}, "body.max_tokens"),
    "no tokens": ("completions", {"max_tokens": 0}, "max_tokens"),
    "fewer tokens than the least": ("completions", {"min_tokens": 4}, "min_tokens"),
    "an empty prompt": ("completions", {"prompt": ""}, None),
    "ids mixed with texts": ("completions", {"prompt": [1, "a"]}, "body.prompt"),
    "an id beyond the vocabulary": ("completions", {"prompt": [100_000]}, None),
    "no prompt": ("completions", {"prompt": None}, "body"),
    "usage without a stream": ("chat", {"stream": False, "stream_options": USAGE}, "body.stream_options"),
    "two greedy choices": ("chat", {"n": 2}, "n"),
    "an empty stop string": ("chat", {"stop": ""}, "stop"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_what_cannot_be_served_is_a_400_that_names_the_field(vllm: Engine, case: str) -> None:
    api, fields, param = BAD_FIELDS[case]
    wire = vllm.ask(api, **fields)
    assert head(wire) == head(capture("400-max-tokens"))
    assert list(wire.body["error"]) == ["message", "type", "param", "code"]
    assert (wire.body["error"]["param"], wire.body["error"]["code"]) == (param, 400)


def test_unknown_fields_are_ignored(vllm: Engine) -> None:
    assert vllm.ask("chat", guided_choice=["a"], logit_bias={}, metadata={"a": 1}).is_done


@pytest.mark.parametrize(
    ("data", "status"),
    [(get("/nowhere"), "404 Not Found"), (get("/v1/completions"), "405 Method Not Allowed")],
    ids=["unknown path", "wrong method"],
)
def test_what_has_no_route_is_refused(vllm: Engine, data: bytes, status: str) -> None:
    assert vllm.exchange(data).status == f"HTTP/1.1 {status}"


def test_the_models_are_listed_as_in_the_capture(vllm: Engine) -> None:
    ours, theirs = vllm.exchange(get("/v1/models")), capture("models")
    assert head(ours) == head(theirs)
    assert re.sub("modelperm-[0-9a-f]{16}", "#", str(shape(ours.body))) == re.sub(
        "modelperm-[0-9a-f]{16}", "#", str(shape(theirs.body))
    )
    assert [model["id"] for model in ours.body["data"]] == ["rev-abc", "tiny"]
    assert ours.body["data"][0]["max_model_len"] == 2048


def labels(page: str) -> dict[str, set[tuple[str, ...]]]:
    """The label names of each sample, in their order."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, inner in re.findall(r"^(vllm:\w+)\{(.*)\} \S+$", page, re.MULTILINE):
        found.setdefault(name, set()).add(tuple(re.findall(r'(\w+)="', inner)))
    return found


def test_the_metrics_are_some_of_those_in_the_capture(vllm: Engine) -> None:
    ours, theirs = vllm.exchange(get("/metrics")), capture("metrics")
    assert head(ours) == head(theirs)
    mine, captured = (wire.chunks[0].decode() for wire in (ours, theirs))
    cache = "vllm:cache_config_info"
    found, known = labels(mine), labels(captured)
    assert set(next(iter(found.pop(cache)))) < set(next(iter(known.pop(cache))))
    assert len(found) == 6
    assert all(known[name] == names for name, names in found.items())
    comments = [line for line in mine.splitlines() if line.startswith("#")]
    assert set(comments) < set(captured.splitlines())
    reasons = re.compile(r'finished_reason="(\w+)"')
    success = [line for line in captured.splitlines() if line.startswith("vllm:request_success_total")]
    assert reasons.findall(mine) == reasons.findall("\n".join(success))


def test_health_is_as_in_the_capture(vllm: Engine) -> None:
    assert head(vllm.exchange(get("/health"))) == head(capture("drain-health"))


def test_the_version_is_that_of_the_captures(vllm: Engine) -> None:
    assert vllm.exchange(get("/version")).body == {"version": "0.32.0"}


def test_garbage_is_healthy_and_no_event_of_it_is_json() -> None:
    with engine(environ={"MIDSTREAM_ENGINE_ARGS": "--garbage"}) as running:
        assert running.exchange(get("/health")).status == "HTTP/1.1 200 OK"
        for api in ("completions", "chat"):
            *payloads, done = running.ask(api).payloads
            assert len(payloads) >= 3
            assert done == "[DONE]"
            for payload in payloads:
                assert payload.startswith('{"id":')
                with pytest.raises(json.JSONDecodeError):
                    json.loads(payload)
            with pytest.raises(json.JSONDecodeError):
                json.loads(running.ask(api, stream=False).chunks[0])
