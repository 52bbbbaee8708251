"""What people may type, and what they are told otherwise."""

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks import option_values as values
from hooks.option_values import BadValueError

READ: dict[str, tuple[values.Parser, str, Any]] = {
    "bare seconds": (values.seconds, "90", 90.0),
    "seconds": (values.seconds, "90s", 90.0),
    "minutes": (values.seconds, "2m", 120.0),
    "hours": (values.seconds, "1h", 3600.0),
    "half hours": (values.seconds, "1.5h", 5400.0),
    "milliseconds": (values.seconds, "500ms", 0.5),
    "spaces around": (values.seconds, " 3 ", 3.0),
    "no time at all": (values.seconds, "0", 0.0),
    "some time": (values.positive_seconds, "0.5", 0.5),
    "percent": (values.share, "5%", 0.05),
    "fraction": (values.share, "0.05", 0.05),
    "fraction without its 0": (values.share, ".5", 0.5),
    "no share": (values.share, "0", 0.0),
    "all, as a fraction": (values.share, "1", 1.0),
    "all, in percent": (values.share, "100%", 1.0),
    "count": (values.count, "12", 12),
    "count of none": (values.count, "0", 0),
    "positive count": (values.positive_count, "80", 80),
    "positive count with zeros in front": (values.positive_count, "0012", 12),
    "number": (values.positive_number, "0.5", 0.5),
    "text": (values.text, "a b", "a b"),
    "yes": (values.yes_no, "yes", True),
    "no": (values.yes_no, "no", False),
    "namespace and name": (values.namespaced_name, "llm-serving/vllm", ("llm-serving", "vllm")),
    "assignment": (values.assignment, "vllm=repo:5000/v:1", ("vllm", "repo:5000/v:1")),
    "an equals sign in what is assigned": (values.assignment, "A=b=c", ("A", "b=c")),
    "arguments": (values.arguments, "serve --name 'a b'", "serve --name 'a b'"),
    "one of the words": (values.one_of("a", "b"), "b", "b"),
}


@pytest.mark.parametrize(("parse", "text", "value"), READ.values(), ids=READ)
def test_reads(parse, text, value):
    assert parse(text) == value


DURATION = "such as 90, 90s, 2m or 1h"
REFUSED: dict[str, tuple[values.Parser, list[str], str]] = {
    "seconds": (
        values.seconds,
        ["", "-3", "3 m", "2 minutes", "1d", "1h30m", "inf", "nan", "1e3", "soon"],
        DURATION,
    ),
    "positive seconds": (values.positive_seconds, ["-1", ""], DURATION),
    "seconds above 0": (values.positive_seconds, ["0", "0ms", "0.0h"], f"above 0, {DURATION}"),
    "share": (values.share, ["", "-5%", "-1", "%", "five", "nan", "1e-2", "5%%"], "such as 5% or 0.05"),
    "share of more than all": (values.share, ["5", "120%"], "from 0 to 1"),
    "count": (values.count, ["", "-1", "1.5", "+1", "ten"], "a whole number, 0 or more"),
    "positive count": (values.positive_count, ["", "0", "00", "-5", "1.5"], "a whole number, 1 or more"),
    "positive number": (values.positive_number, ["", "0", "0.0", "-1", "nan", "inf"], "a number above 0"),
    "text": (values.text, ["", "  "], "it is empty: give a value, or leave the option out"),
    "yes or no": (values.yes_no, ["", "1", "Yes", "true"], "one of: yes, no"),
    "namespaced name": (
        values.namespaced_name,
        ["", "vllm", "/vllm", "a/", "a/b/c", "A/b", "a/-b", "a /b"],
        "NAMESPACE/NAME, such as llm-serving/vllm",
    ),
    "assignment": (values.assignment, ["", "A", "=b", "A="], "write NAME=VALUE"),
    "arguments": (values.arguments, ["", "serve 'a b", 'serve "a', "serve \\"], "in quotes as in a shell"),
    "one of a few": (values.one_of("a", "b"), ["", "c", "A"], "one of: a, b"),
}


@pytest.mark.parametrize(
    ("parse", "text", "advice"),
    [(parse, text, advice) for parse, texts, advice in REFUSED.values() for text in texts],
    ids=[f"{kind} {text!r}" for kind, (_, texts, _) in REFUSED.items() for text in texts],
)
def test_says_what_to_type_instead(parse, text, advice):
    with pytest.raises(BadValueError, match=re.escape(advice)):
        parse(text)


@pytest.mark.parametrize(("text", "meant"), [("5", "5%"), ("1.5", "1.5%"), ("100", "100%")])
def test_a_bare_number_above_1_is_told_how_to_mean_percent(text, meant):
    with pytest.raises(BadValueError, match=re.escape(f"with a percent sign: {meant}")):
        values.share(text)
    assert values.share(meant) == float(text) / 100


@pytest.mark.parametrize(("text", "repeated"), [("500%", "500%"), ("101%", "101%"), ("500", "500%")])
def test_more_than_all_is_not_told_to_type_what_would_be_refused(text, repeated):
    with pytest.raises(BadValueError) as refused:
        values.share(text)
    assert repeated not in str(refused.value)


@given(st.integers(0, 10_000), st.sampled_from(["", "s", "m", "h", "ms"]))
def test_every_whole_number_with_a_unit_is_a_duration(number, unit):
    per_unit = {"": 1, "s": 1, "m": 60, "h": 3600, "ms": 0.001}[unit]
    assert values.seconds(f"{number}{unit}") == pytest.approx(number * per_unit)


@given(st.one_of(st.text(max_size=8), st.from_regex(r"[0-9.%smh]{0,9}", fullmatch=True)))
def test_whatever_is_typed_is_read_or_refused(text):
    for parse, _, _ in REFUSED.values():
        with suppress(BadValueError):
            parse(text)
