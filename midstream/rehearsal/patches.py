"""Merge patch (RFC 7396) and JSON patch (RFC 6902) on plain objects, without touching the original."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = Any  # whatever JSON can hold


class PatchError(Exception):
    """The patch is malformed, a path of it does not exist, or a `test` failed."""


def merged(target: Json, patch: Json) -> Json:
    """The target with the patch laid over it: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def json_patched(target: Json, operations: Json) -> Json:
    """The target after all operations. Raises PatchError; then nothing of the patch counts."""
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is a list of operations")
    result = copy.deepcopy(target)
    for operation in operations:
        result = _operated(result, operation)
    return result


def _operated(document: Json, operation: Json) -> Json:
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise PatchError(f"not an operation with a path: {operation!r}")
    apply = _OPERATIONS.get(operation.get("op", ""))
    if apply is None:
        raise PatchError(f"operation {operation.get('op')!r} is none of {', '.join(_OPERATIONS)}")
    if operation["op"] != "remove" and "value" not in operation:
        raise PatchError(f"{operation['op']} {operation['path']}: value is missing")
    return apply(document, _tokens(operation["path"]), copy.deepcopy(operation.get("value")))


def _tokens(path: str) -> list[str]:
    """A JSON pointer's parts (RFC 6901)."""
    if not path:
        return []
    if not path.startswith("/"):
        raise PatchError(f"path {path!r} does not start with /")
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _missing(tokens: Sequence[str]) -> PatchError:
    return PatchError(f"path /{'/'.join(tokens)} does not exist")


def _step(container: Json, token: str, tokens: Sequence[str]) -> Json:
    try:
        return container[int(token) if isinstance(container, list) else token]
    except (KeyError, IndexError, ValueError, TypeError) as missing:
        raise _missing(tokens) from missing


def _parent(document: Json, tokens: Sequence[str]) -> Json:
    for depth, token in enumerate(tokens[:-1], 1):
        document = _step(document, token, tokens[:depth])
    if not isinstance(document, dict | list):
        raise _missing(tokens)
    return document


def _add(document: Json, tokens: list[str], value: Json) -> Json:
    if not tokens:
        return value
    parent, last = _parent(document, tokens), tokens[-1]
    if isinstance(parent, dict):
        parent[last] = value
        return document
    index = len(parent) if last == "-" else _index(last, tokens)
    if index > len(parent):
        raise _missing(tokens)
    parent.insert(index, value)
    return document


def _index(token: str, tokens: Sequence[str]) -> int:
    if not token.isdecimal():
        raise _missing(tokens)
    return int(token)


def _replace(document: Json, tokens: list[str], value: Json) -> Json:
    if not tokens:
        return value
    parent = _parent(document, tokens)
    _step(parent, tokens[-1], tokens)
    parent[_index(tokens[-1], tokens) if isinstance(parent, list) else tokens[-1]] = value
    return document


def _remove(document: Json, tokens: list[str], _: Json) -> Json:
    if not tokens:
        return None
    parent = _parent(document, tokens)
    _step(parent, tokens[-1], tokens)
    del parent[_index(tokens[-1], tokens) if isinstance(parent, list) else tokens[-1]]
    return document


def _test(document: Json, tokens: list[str], value: Json) -> Json:
    found = document
    for depth, token in enumerate(tokens, 1):
        found = _step(found, token, tokens[:depth])
    if found != value:
        raise PatchError(f"testing path /{'/'.join(tokens)} value failed")
    return document


_OPERATIONS: dict[str, Callable[[Json, list[str], Json], Json]] = {
    "test": _test,
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}
