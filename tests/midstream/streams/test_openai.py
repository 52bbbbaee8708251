import json

import pytest

from midstream.streams.openai import error_in_body, error_words, read_chunk

SPEAKS = {
    "text": ({"text": "a"}, True),
    "empty text": ({"text": ""}, False),
    "role": ({"delta": {"role": "assistant", "content": ""}}, False),
    "content": ({"delta": {"content": "a"}}, True),
    "content in parts": ({"delta": {"content": [{"type": "text", "text": "a"}]}}, True),
    "content null": ({"delta": {"content": None}}, False),
    "reasoning": ({"delta": {"reasoning": "a"}}, True),
    "reasoning_content": ({"delta": {"reasoning_content": "a"}}, True),
    "refusal": ({"delta": {"refusal": "no"}}, True),
    "tool call": ({"delta": {"tool_calls": [{"index": 0}]}}, True),
    "function call": ({"delta": {"function_call": {"name": "f"}}}, True),
    "no tool call": ({"delta": {"tool_calls": []}}, False),
    "finish alone": ({"delta": {}, "finish_reason": "stop"}, False),
    "index alone": ({}, False),
}


@pytest.mark.parametrize(("choice", "speaks"), SPEAKS.values(), ids=SPEAKS)
def test_what_counts_as_said(choice, speaks):
    chunk = read_chunk(json.dumps({"choices": [{"index": 0, **choice}]}).encode())
    assert [choice.speaks for choice in chunk.choices or ()] == [speaks]


def test_only_an_index_is_bare():
    chunk = read_chunk(b'{"choices": [{"index": 0}, {"index": 1, "finish_reason": "stop"}]}')
    assert [choice.is_bare for choice in chunk.choices or ()] == [True, False]


def test_fields_may_be_null_or_missing_or_unknown():
    data = {"model": None, "choices": None, "usage": None, "error": None, "x": [1]}
    chunk = read_chunk(json.dumps(data).encode())
    assert (chunk.model, chunk.choices, chunk.usage, chunk.error_text) == (None, None, None, None)
    assert read_chunk(b"{}").choices is None


def test_invalid_utf8_is_replaced_as_in_any_event_stream():
    chunk = read_chunk(b'{"choices": [{"text": "a\xff"}]}')
    assert [choice.text for choice in chunk.choices or ()] == ["a\ufffd"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"x"', b'{"choices": 3}', b"\xff", b'{"usage": {"completion_tokens": "4"}}']
)
def test_what_is_no_event_is_said_in_a_sentence(data):
    with pytest.raises(ValueError, match="event"):
        read_chunk(data)


ERRORS = {
    "vLLM": ({"message": "m", "type": "T", "param": None, "code": 500}, "m | T | 500"),
    "code as a string": ({"message": "m", "code": "503"}, "m | 503"),
    "words": ("out of memory", "out of memory"),
    "nothing known": ({"detail": 1}, ""),
}


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_error_in_one_line(error, words):
    assert error_words(error) == words


BODIES = {
    "error object": (b'{"error": {"message": "m"}}', "m"),
    "the object itself": (b'{"object": "error", "message": "m", "type": "T", "code": 400}', "m | T | 400"),
    "HTML": (b"<html>no</html>", "<html>no</html>"),
    "no text": (b"\xff\xfe", "\\xff\\xfe"),
    "long": (b"x" * 9000, "x" * 512),
    "empty": (b"", ""),
}


@pytest.mark.parametrize(("body", "words"), BODIES.values(), ids=BODIES)
def test_error_text_of_a_body(body, words):
    assert error_in_body(body) == words


def test_an_empty_error_object_is_still_an_error():
    assert read_chunk(b'{"error": {}}').error_text == ""
