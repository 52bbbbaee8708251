"""Where an option's text comes from, which source wins, what a plan file may not hold."""

import argparse
import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.layers import (
    Given,
    Source,
    UsageError,
    from_command_line,
    from_environment,
    from_plan,
    merge,
    suggestion,
)

TOKENS = Source("tokens", "tokens", "--tokens", ("MIDSTREAM_TOKENS",))
RATE = Source(
    "max_error_rate", "max_error_rate", "--max-error-rate", ("MIDSTREAM_MAX_ERROR_RATE", "MAX_ERROR_RATE")
)
FAULT = Source("fault", "fault", "--fault", ("MIDSTREAM_FAULT",), repeatable=True)
HEADER = Source("header", "header", "--header", ("MIDSTREAM_HEADER",), repeatable=True, separator="\n")
USERS = Source("users", "num_users", "--users", ("MIDSTREAM_USERS",))
SOURCES = (TOKENS, RATE, FAULT, HEADER, USERS)


def test_the_command_line_gives_what_was_typed():
    parsed = argparse.Namespace(tokens="7", max_error_rate=None, fault=["a", "b"], num_users=3)
    assert from_command_line(parsed, SOURCES) == {
        "tokens": Given("--tokens", "7"),
        "fault": Given("--fault", ("a", "b")),
        "users": Given("--users", "3"),
    }


def test_what_was_typed_empty_was_typed():
    assert from_command_line(argparse.Namespace(tokens=""), SOURCES) == {"tokens": Given("--tokens", "")}


def test_the_environment_is_told_as_it_stands_there():
    environ = {"MIDSTREAM_TOKENS": "7", "MAX_ERROR_RATE": "5%", "MIDSTREAM_FAULT": "a,b", "OTHER": "1"}
    assert from_environment(environ, SOURCES) == {
        "tokens": Given("MIDSTREAM_TOKENS=7", "7"),
        "max_error_rate": Given("MAX_ERROR_RATE=5%", "5%"),
        "fault": Given("MIDSTREAM_FAULT=a,b", ("a", "b")),
    }


def test_an_option_may_have_a_separator_of_its_own():
    environ = {"MIDSTREAM_HEADER": "X-Team: a, b\nX-Other: c"}
    assert from_environment(environ, SOURCES)["header"].text == ("X-Team: a, b", "X-Other: c")


def test_of_two_variables_the_first_name_wins():
    environ = {"MAX_ERROR_RATE": "5%", "MIDSTREAM_MAX_ERROR_RATE": "1%"}
    assert from_environment(environ, SOURCES)["max_error_rate"].text == "1%"


def test_an_empty_variable_counts_as_given():
    assert from_environment({"MIDSTREAM_TOKENS": ""}, SOURCES)["tokens"].text == ""


LINES = {
    "number": ("tokens: 7", "7"),
    "fraction": ("tokens: 0.05", "0.05"),
    "text": ("tokens: 5%", "5%"),
    "quoted": ("tokens: '07'", "07"),
    "a bare yes is no truth value here": ("tokens: yes", "yes"),
    "a bare no": ("tokens: no", "no"),
    "true": ("tokens: true", "yes"),
    "nothing": ("tokens:", ""),
    "list": ("tokens: [a, 1]", ("a", "1")),
}


@pytest.mark.parametrize(("line", "text"), LINES.values(), ids=LINES)
def test_a_line_of_a_plan(tmp_path, line, text):
    path = tmp_path / "plan.yaml"
    path.write_text(line)
    assert from_plan(path, SOURCES) == {"tokens": Given(f"tokens in {path}", text)}


def test_a_plan_may_write_a_name_with_dashes(tmp_path):
    (tmp_path / "plan.yaml").write_text("max-error-rate: 5%")
    assert from_plan(tmp_path / "plan.yaml", SOURCES)["max_error_rate"].text == "5%"


REFUSED = {
    "unknown key": (b"tokenz: 1", r"unknown key tokenz \(did you mean tokens\?\)"),
    "unknown key like no other": (b"zzz: 1", r"unknown key zzz$"),
    "unknown key that is no text": (b"7: 1", "unknown key 7"),
    "list": (b"- tokens", "write one `option: value` a line"),
    "a word": (b"tokens", "write one `option: value` a line"),
    "nothing": (b"", "write one `option: value` a line"),
    "no YAML": (b"tokens: [1", r"no valid YAML \(line 1, column 11\): expected ',' or '\]'"),
    "no YAML in a later line": (b"tokens: 1\nfault: a: b", r"\(line 2, column 9\): mapping values are not"),
    "characters of no text": (b"tokens: \0", "no valid YAML: it holds characters"),
    "a date that is none": (b"tokens: 2026-99-99", "a date or number that is none"),
    "no text": (b"\xff\xfe\xff", "cannot be read"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_plan_may_not_hold_is_told_in_one_line(tmp_path, content, words):
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as refused:
        from_plan(path, SOURCES)
    assert str(refused.value).startswith(f"--plan {path}: ")
    assert "\n" not in str(refused.value)


QUOTING = {
    "a quote not closed": "header: 'X-Key: s3cr3t",
    "two colons": "header: X-Key: s3cr3t",
    "an alias": "header: *s3cr3t",
    "a tag": "header: !s3cr3t x",
    "a tag with an apostrophe": "header: !s3cr3t'x y",
    "a tag of a handle": "header: !s3cr3t!x y",
    "a character that begins no word": "header: @s3cr3t",
    "an escape": 'header: "X-Key: s3cr3t \\q"',
    "a list not closed": "header: [s3cr3t\nusers: 1",
    "an anchor given twice": "header: &s3cr3t a\nusers: &s3cr3t b: c",
    "a word as a number": "header: !!int s3cr3t",
    "a word as a moment": "header: !!timestamp s3cr3t",
    "a word as yes or no": "header: !!bool s3cr3t",
    "control characters": "header: s3cr3t\0",
}


@pytest.mark.parametrize("content", QUOTING.values(), ids=QUOTING)
def test_a_fault_of_a_plan_is_told_without_its_words(tmp_path, content):
    path = tmp_path / "plan.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        from_plan(path, SOURCES)
    assert "s3cr3t" not in "".join(traceback.format_exception(refused.value))


def test_a_missing_plan_is_told_with_its_path(tmp_path):
    with pytest.raises(UsageError, match=re.escape(f"--plan {tmp_path / 'no.yaml'}: cannot be read")):
        from_plan(tmp_path / "no.yaml", SOURCES)


texts = st.dictionaries(st.sampled_from("abc"), st.text(max_size=3).map(lambda text: Given("x", text)))


@given(st.lists(texts, max_size=4))
def test_the_first_layer_that_names_an_option_wins(stack):
    merged = merge(stack)
    assert merged.keys() == set().union(*stack)
    for name, found in merged.items():
        assert found == next(layer[name] for layer in stack if name in layer)


def test_a_suggestion_is_made_only_where_it_is_close():
    assert suggestion("watch_aftr", ["watch_after", "tokens"]) == " (did you mean watch_after?)"
    assert suggestion("zzz", ["watch_after", "tokens"]) == ""
