"""One request on the cluster's objects, carried out on the store and answered whole."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from midstream.rehearsal.asgi import JSON, Answer, Request
from midstream.rehearsal.patches import Json, PatchError, json_patched, merged
from midstream.rehearsal.refusals import (
    BadRequestError,
    MediaTypeError,
    MethodNotAllowedError,
    UnknownPathError,
    success,
)
from midstream.rehearsal.selectors import field_selector, label_selector
from midstream.rehearsal.store import (
    KINDS,
    ExpiredError,
    InvalidError,
    Kind,
    NotFoundError,
    Object,
    Store,
)
from midstream.rehearsal.tables import table, wants_table
from midstream.rehearsal.timestamps import utc_now

# Kubernetes answers these deletions with the object, all others with a Status (ReturnDeletedObject).
RETURNED_WHEN_DELETED = ("pods", "services")
PROTOBUF = "application/vnd.kubernetes.protobuf"  # what kubectl prefers for some built-in kinds

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<part>[a-z]+))?)?/?"
)


class Target(NamedTuple):
    """What a path names."""

    kind: Kind
    namespace: str | None  # None: all of them
    name: str | None  # None: the collection
    part: str  # "", "status" or "log"

    @property
    def resource(self) -> str:
        """As RBAC calls it: "rollouts/status"."""
        return f"{self.kind.plural}/{self.part}" if self.part else self.kind.plural


Operation: TypeAlias = Callable[[Store, Request, Target], Answer]


def target_of(path: str) -> Target:
    """The target of a request. Raises UnknownPathError."""
    found = _PATH.fullmatch(path)
    kind = KINDS.get(found["plural"]) if found else None
    if found is None or kind is None:
        raise UnknownPathError("the server could not find the requested resource")
    known = (kind.group, kind.version) == (found["group"] or "", found["version"] or found["core"])
    parts = {"", "status"} if kind.has_status else {""}
    if kind.plural == "pods":
        parts.add("log")
    part = found["part"] or ""
    if not known or part not in parts or (found["name"] and not found["namespace"]):
        raise UnknownPathError("the server could not find the requested resource")
    return Target(kind, found["namespace"], found["name"], part)


def found_in(store: Store, target: Target) -> Object:
    """The object that the target names. Raises NotFoundError."""
    obj = store.get(target.kind.plural, target.namespace or "", target.name or "")
    if obj is None:
        raise NotFoundError(f'{target.kind.resource} "{target.name}" not found')
    return obj


def selection(request: Request, target: Target) -> Callable[[Object], bool]:
    """Which objects a list or watch is about. Raises InvalidError for a selector it cannot read."""
    labels = label_selector(request.query.get("labelSelector", ""))
    fields = field_selector(request.query.get("fieldSelector", ""))

    def selects(obj: Object) -> bool:
        metadata = obj["metadata"]
        here = target.namespace in (None, metadata["namespace"])
        return here and fields(obj) and labels(metadata.get("labels", {}))

    return selects


def number_in(query: Mapping[str, object], name: str) -> float | None:
    """A parameter that is a number of at least 0; None where it is missing. Raises BadRequestError."""
    text = query.get(name)
    if text in (None, ""):
        return None
    try:
        number = float(str(text))
    except ValueError:
        number = -1
    if not number >= 0:
        raise BadRequestError(f"{name}: {text!r} is not a number of at least 0")
    return number


def decoded(request: Request) -> Object:
    """The JSON object of a body. Raises BadRequestError, MediaTypeError."""
    if request.content_type == PROTOBUF:
        raise MediaTypeError(f"the body is {PROTOBUF}: send {JSON}")
    obj = _json_of(request.body)
    if not isinstance(obj, dict):
        raise BadRequestError("the body is not a JSON object")
    return obj


def _json_of(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _list(store: Store, request: Request, target: Target) -> Answer:
    kind = target.kind
    if request.query.get("continue"):
        raise ExpiredError("the provided continue parameter is too old: no list here was ever cut")
    found, version = store.list(kind.plural, target.namespace)
    wanted = request.query.get("resourceVersion", "")
    if request.query.get("resourceVersionMatch") == "Exact" and wanted != str(version):
        raise ExpiredError(f"The provided resource version is too old: {wanted}")
    metadata = {"resourceVersion": str(version)}
    items = list(filter(selection(request, target), found))
    if wants_table(request.accept):
        return Answer(200, table(kind.plural, items, metadata, utc_now(), heads=True))
    payload = {
        "kind": f"{kind.kind}List",
        "apiVersion": kind.api_version,
        "metadata": metadata,
        "items": items,
    }
    return Answer(200, payload)


def _get(store: Store, request: Request, target: Target) -> Answer:
    obj = found_in(store, target)
    if not wants_table(request.accept):
        return Answer(200, obj)
    metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
    return Answer(200, table(target.kind.plural, [obj], metadata, utc_now(), heads=True))


def _create(store: Store, request: Request, target: Target) -> Answer:
    if target.kind.read_only:
        raise MethodNotAllowedError(f"{target.kind.resource}: the rehearsal has nothing that would run one")
    obj = decoded(request)
    metadata = obj.setdefault("metadata", {})
    if target.namespace is None or metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise BadRequestError("the namespace of the object does not match the namespace of the request")
    _check(target.kind, obj)
    return Answer(201, store.create(target.kind.plural, obj))


def _replace(store: Store, request: Request, target: Target) -> Answer:
    return _stored(store, target, decoded(request))


def _patch(store: Store, request: Request, target: Target) -> Answer:
    obj, patch = found_in(store, target), _json_of(request.body)
    return _stored(store, target, _patched(obj, patch, request.content_type, target.kind))


def _delete(store: Store, request: Request, target: Target) -> Answer:
    options = decoded(request) if request.body else {}
    grace_s = number_in({**request.query, **options}, "gracePeriodSeconds")
    place = (target.kind.plural, target.namespace or "", target.name or "")
    left = store.delete(*place, grace_s)
    return Answer(200, left if target.kind.plural in RETURNED_WHEN_DELETED else success(target.kind, left))


# By method, subresource or not, and whether the path names an object.
OPERATIONS: dict[tuple[str, bool, bool], Operation] = {
    ("GET", False, False): _list,
    ("GET", False, True): _get,
    ("GET", True, True): _get,
    ("POST", False, False): _create,
    ("PUT", False, True): _replace,
    ("PUT", True, True): _replace,
    ("PATCH", False, True): _patch,
    ("PATCH", True, True): _patch,
    ("DELETE", False, True): _delete,
}


def _stored(store: Store, target: Target, obj: Object) -> Answer:
    metadata = obj.get("metadata")
    place = (target.namespace, target.name)
    if not isinstance(metadata, dict) or (metadata.get("namespace"), metadata.get("name")) != place:
        raise BadRequestError("the name or namespace of the object does not match the request")
    _check(target.kind, obj)
    return Answer(200, store.replace(target.kind.plural, obj, status=target.part == "status"))


def _check(kind: Kind, obj: Object) -> None:
    """What the schema demands of an object that a controller will read."""
    for field in ("metadata", "spec"):
        if kind.has_status and not isinstance(obj.get(field), dict):
            raise InvalidError(f"{kind.kind}: {field}: Required value")


def _patched(obj: Object, patch: Json, content_type: str, kind: Kind) -> Object:
    """The object after a patch of that media type.

    A strategic merge patch differs from a merge patch in lists and directives alone; one that has
    neither is carried out, others are refused, and custom resources refuse all as Kubernetes does.
    """
    plain = kind.group != "argoproj.io" and not _is_strategic(patch)
    match content_type:
        case "application/json-patch+json":
            return _json_patched(obj, patch)
        case "application/merge-patch+json":
            return _merge_patched(obj, patch)
        case "application/strategic-merge-patch+json" if plain:
            return _merge_patched(obj, patch)
    raise MediaTypeError(
        f"{kind.resource} takes no patch of type {content_type or 'none'} here: use "
        "application/merge-patch+json (kubectl patch --type=merge) or application/json-patch+json"
    )


def _json_patched(obj: Object, patch: Json) -> Object:
    try:
        result = json_patched(obj, patch)
    except PatchError as error:
        # Reason and code are Kubernetes' own for a failed `test`.
        raise InvalidError(
            f"the server rejected our request due to an error in our request: {error}"
        ) from error
    if not isinstance(result, dict):
        raise InvalidError("the patch leaves no object")
    return result


def _merge_patched(obj: Object, patch: Json) -> Object:
    if not isinstance(patch, dict):
        raise BadRequestError("a merge patch is a JSON object (a list is a JSON patch)")
    result: Object = merged(obj, patch)
    return result


def _is_strategic(patch: Json) -> bool:
    if isinstance(patch, dict):
        return any(key.startswith("$") or _is_strategic(value) for key, value in patch.items())
    return isinstance(patch, list)
