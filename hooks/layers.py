"""Where the text of each option comes from: command line, environment, plan file, strongest first."""

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml


class UsageError(Exception):
    """The command or the configuration is wrong; the message says what to type. Exit code 2."""


class Given(NamedTuple):
    """An option's text as somebody gave it."""

    where: str  # as people see it: "--tokens", "MAX_ERROR_RATE=5", "tokens in plan.yaml"
    text: str | tuple[str, ...]  # a tuple for repeatable options


Layer = Mapping[str, Given]  # option name -> what was given


class Source(NamedTuple):
    """How one option can be given."""

    name: str
    attribute: str  # of the parsed command line
    flag: str
    envs: tuple[str, ...]
    repeatable: bool = False
    separator: str = ","  # between the values of a repeatable one in the environment


def from_command_line(parsed: argparse.Namespace, sources: Iterable[Source]) -> Layer:
    """What was typed; an option left out is None there."""
    return {
        source.name: Given(source.flag, tuple(value) if source.repeatable else str(value))
        for source in sources
        if (value := getattr(parsed, source.attribute, None)) is not None
    }


def from_environment(environ: Mapping[str, str], sources: Iterable[Source]) -> Layer:
    """What the environment says; repeatable options are split by their separator."""
    layer: dict[str, Given] = {}
    for source in sources:
        name = next((name for name in source.envs if name in environ), None)
        if name is not None:
            text = environ[name]
            layer[source.name] = Given(
                f"{name}={text}", tuple(text.split(source.separator)) if source.repeatable else text
            )
    return layer


def from_plan(path: Path, sources: Iterable[Source]) -> Layer:
    """What a plan file says: one `option: value` a line, unknown keys refused."""
    known = {source.name for source in sources}
    content = {str(key).replace("-", "_"): value for key, value in _mapping(path).items()}
    unknown = sorted(set(content) - known)
    if unknown:
        raise UsageError(f"--plan {path}: unknown key {unknown[0]}{suggestion(unknown[0], known)}")
    return {key: Given(f"{key} in {path}", _plan_text(value)) for key, value in content.items()}


def merge(layers: Sequence[Layer]) -> Layer:
    """One layer, the first one winning."""
    return {name: given for layer in reversed(layers) for name, given in layer.items()}


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _mapping(path: Path) -> Mapping[object, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--plan {path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--plan {path}: no valid YAML{_yaml_fault(error)}") from None
    except (ValueError, LookupError, AttributeError, RecursionError):  # what PyYAML leaves of `!!int x`
        raise UsageError(f"--plan {path}: it holds a date or number that is none") from None
    if not isinstance(content, dict):
        raise UsageError(f"--plan {path}: write one `option: value` a line")
    return content


_OWN_WORD = re.compile(r"\b(alias|tag handle|tag) .*", re.DOTALL)  # *KEY and !KEY, as they stand


def _yaml_fault(error: yaml.YAMLError) -> str:
    """Where and what, without the plan's own lines, which PyYAML quotes: one may hold a header's secret."""
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    problem = getattr(error, "problem", None) or "it holds characters that YAML does not allow"
    return f"{where}: " + _OWN_WORD.sub(r"\1", problem)


def _plan_text(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(entry) for entry in value)
    if isinstance(value, bool):  # YAML 1.1 reads a bare yes as true
        return "yes" if value else "no"
    return "" if value is None else str(value)
