"""Label and field selectors as Kubernetes writes them, turned into a question about one object."""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from midstream.rehearsal.store import InvalidError, Object

Labels: TypeAlias = Mapping[str, str]
Test: TypeAlias = Callable[[Labels], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?:
        (?P<absent>!)?\s*(?P<bare>[\w./-]+)
      | (?P<key>[\w./-]+)\s*(?P<equal>==?|!=)\s*(?P<value>[\w.-]*)
      | (?P<member>[\w./-]+)\s+(?P<within>in|notin)\s*\((?P<values>[^()]*)\)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def matches_labels(labels: Labels | None, selector: Labels) -> bool:
    """Whether an object with these labels is selected by every pair."""
    return selector.items() <= (labels or {}).items()


def label_selector(text: str) -> Test:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k` as a test of labels. Raises InvalidError."""
    tests, position = [], 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if found is None:
            raise InvalidError(f"unable to parse label selector at {text[position:]!r}")
        tests.append(_requirement(found))
        position = found.end()
    return lambda labels: all(test(labels) for test in tests)


def _requirement(found: re.Match[str]) -> Test:
    if key := found["bare"]:
        wanted = found["absent"] is None
        return lambda labels: (key in labels) is wanted
    if key := found["key"]:
        value, equal = found["value"], found["equal"] != "!="
        return lambda labels: (labels.get(key) == value) is equal
    key, within = found["member"], found["within"] == "in"
    values = {value.strip() for value in found["values"].split(",")}
    return lambda labels: (labels.get(key) in values) is within


FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "status.phase",
    *(f"involvedObject.{field}" for field in ("kind", "namespace", "name", "uid")),
)


def field_selector(text: str) -> Callable[[Object], bool]:
    """`metadata.name=x` as a test of an object. Raises InvalidError for fields other than FIELDS."""
    tests = []
    for part in filter(None, text.split(",")):
        found = re.fullmatch(r"\s*([\w.]+)\s*(==?|!=)\s*(\S*)\s*", part)
        if found is None or found[1] not in FIELDS:
            raise InvalidError(f"field label not supported: {part} (only {', '.join(FIELDS)})")
        tests.append((found[1].split("."), found[2] != "!=", found[3]))
    return lambda obj: all((_field(obj, path) == value) is equal for path, equal, value in tests)


def _field(obj: Object, path: list[str]) -> object:
    holder, name = path
    return obj.get(holder, {}).get(name, "")
