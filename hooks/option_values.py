"""How the text of an option becomes a value, with the sentence that says what to type instead."""

import re
import shlex
from collections.abc import Callable

from midstream.streams.access import Header, Resolve


class BadValueError(ValueError):
    """The text cannot be read as what the option wants; the message says what to type."""


_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s|m|h)?")
_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(text: str) -> float:
    """A duration in seconds: `90`, `90s`, `2m`, `1h`, `500ms`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadValueError("write a duration such as 90, 90s, 2m or 1h")
    return float(match["number"]) * _SECONDS_PER_UNIT[match["unit"]]


def positive_seconds(text: str) -> float:
    """A duration above zero."""
    value = seconds(text)
    if value == 0:
        raise BadValueError("write a duration above 0, such as 90, 90s, 2m or 1h")
    return value


def share(text: str) -> float:
    """A fraction: `5%` or `0.05`. A bare 5 is refused: it could mean either."""
    stripped = text.strip()
    in_percent = stripped.endswith("%")
    number = _number(stripped.removesuffix("%"), "write a share such as 5% or 0.05")
    value = number / 100 if in_percent else number
    if value <= 1:
        return value
    if not in_percent and number <= 100:
        raise BadValueError(f"write a share from 0 to 1, or with a percent sign: {number:g}%")
    raise BadValueError("write a share from 0 to 1, or from 0% to 100%")


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"\d+", text.strip()):
        raise BadValueError("write a whole number, 0 or more")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not re.fullmatch(r"0*[1-9]\d*", text.strip()):
        raise BadValueError("write a whole number, 1 or more")
    return int(text)


def positive_number(text: str) -> float:
    """A number above 0."""
    value = _number(text, "write a number above 0")
    if value <= 0:
        raise BadValueError("write a number above 0")
    return value


def number_or_0(text: str) -> float:
    """A number, 0 or more."""
    value = _number(text, "write a number, 0 or more")
    if value < 0:
        raise BadValueError("write a number, 0 or more")
    return value


def text(value: str) -> str:
    """Any text but none."""
    if not value.strip():
        raise BadValueError("it is empty: give a value, or leave the option out")
    return value


def arguments(value: str) -> str:
    """Words as in a shell, kept as they are; at least one."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise BadValueError(f"{error}: write the arguments in quotes as in a shell") from error
    if not words:
        raise BadValueError("write at least one argument, in quotes as in a shell")
    return value


def yes_no(value: str) -> bool:
    """`yes` or `no`."""
    return one_of("yes", "no")(value) == "yes"


def namespaced_name(value: str) -> tuple[str, str]:
    """`NAMESPACE/NAME` of a Kubernetes object."""
    parts = value.split("/")
    if len(parts) != 2 or not all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", part) for part in parts):
        raise BadValueError("write NAMESPACE/NAME, such as llm-serving/vllm")
    return parts[0], parts[1]


def assignment(value: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, equals, assigned = value.partition("=")
    if not (name and equals and assigned):
        raise BadValueError("write NAME=VALUE")
    return name, assigned


def resolve(value: str) -> Resolve:
    """`HOST:PORT:ADDRESS`, as curl takes it."""
    try:
        return Resolve.parse(value)
    except ValueError as error:
        raise BadValueError(str(error)) from error


def header(value: str) -> Header:
    """`NAME: VALUE`."""
    try:
        return Header.parse(value)
    except ValueError as error:
        raise BadValueError(str(error)) from error


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise BadValueError(f"write one of: {', '.join(choices)}")
        return value

    return parse


def _number(stripped: str, advice: str) -> float:
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", stripped):
        raise BadValueError(advice)
    return float(stripped)


Parser = Callable[[str], object]
