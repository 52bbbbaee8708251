"""Edits of manifests as data: an operation of JSON Patch at a path that names list elements."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from midstream.rehearsal.store import Object


class EditError(Exception):
    """An edit names what is not there."""


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of one object, as RFC 6902 has it, but for the steps of its path.

    A step into a list is an index, the `name` of an element, or an argument: "--port" finds the element
    "--port" or "--port=8000". `add` puts a new element at the end of a list, whatever its last step.
    """

    object: str  # "Rollout/vllm"
    op: Literal["add", "replace", "remove"]
    path: str  # "/spec/replicas"; "~1" stands for a slash within a step, "~0" for "~" (RFC 6901)
    value: Any = None


def edited(objects: Sequence[Object], edits: Iterable[Edit]) -> list[Object]:
    """The objects after the edits, in their order. Raises EditError; the originals stay as they are."""
    changed = copy.deepcopy(list(objects))
    by_name = {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in changed}
    for edit in edits:
        if edit.object not in by_name:
            raise EditError(f"{edit.object} is not among {', '.join(by_name)}")
        _apply(edit, by_name[edit.object])
    return changed


def _apply(edit: Edit, target: Any) -> None:  # noqa: ANN401 - a node of a YAML document
    *steps, last = (step.replace("~1", "/").replace("~0", "~") for step in edit.path.split("/")[1:])
    for step in steps:
        target = target[_key(edit, target, step)]
    if edit.op == "add":
        if isinstance(target, list):
            target.append(edit.value)
        else:
            target[last] = edit.value
        return
    key = _key(edit, target, last)
    if edit.op == "remove":
        del target[key]
    else:
        target[key] = edit.value


def _key(edit: Edit, target: Any, step: str) -> Any:  # noqa: ANN401 - a node of a YAML document
    """Where the step leads in a mapping or list. Raises EditError."""
    if isinstance(target, dict) and step in target:
        return step
    if isinstance(target, list):
        for index, element in enumerate(target):
            if step in (str(index), *_names(element)):
                return index
    raise EditError(f'{edit.object} has no "{step}" at {edit.path}')


def _names(element: Any) -> tuple[str, ...]:  # noqa: ANN401 - a node of a YAML document
    if isinstance(element, dict):
        return (element.get("name", ""),)
    return (element, element.partition("=")[0]) if isinstance(element, str) else ()
