"""The namespaces that the API shows: those in which there is an object."""

import re

from midstream.rehearsal.asgi import Answer, Request
from midstream.rehearsal.refusals import MethodNotAllowedError
from midstream.rehearsal.store import KINDS, Kind, NotFoundError, Object, Store
from midstream.rehearsal.tables import table, wants_table
from midstream.rehearsal.timestamps import utc_now

NAMESPACES = Kind("", "v1", "namespaces", "Namespace", False, read_only=True)

_PATH = re.compile(r"/api/v1/namespaces(?:/(?P<name>[^/]+))?/?")


def named_in(path: str) -> str | None:
    """The namespace that a request is about; "" for all of them, None when it is about something else."""
    found = _PATH.fullmatch(path)
    return None if found is None else found["name"] or ""


def show(store: Store, request: Request, name: str) -> Answer:
    """One namespace or the list. Raises NotFoundError, MethodNotAllowedError."""
    if request.method != "GET" or request.flag("watch"):
        raise MethodNotAllowedError("namespaces can only be read here, and not be watched")
    items = [each for each in _namespaces(store) if name in ("", each["metadata"]["name"])]
    if name and not items:
        raise NotFoundError(f'namespaces "{name}" not found')
    metadata = {"resourceVersion": str(store.version)}
    if wants_table(request.accept):
        return Answer(200, table(NAMESPACES.plural, items, metadata, utc_now(), heads=True))
    if name:
        return Answer(200, items[0])
    return Answer(200, {"kind": "NamespaceList", "apiVersion": "v1", "metadata": metadata, "items": items})


def _namespaces(store: Store) -> list[Object]:
    since: dict[str, str] = {}
    for metadata in (obj["metadata"] for plural in KINDS for obj in store.list(plural)[0]):
        name, created = metadata["namespace"], metadata["creationTimestamp"]
        since[name] = min(created, since.get(name, created))
    return [_namespace(name, since[name], store.version) for name in sorted(since)]


def _namespace(name: str, created: str, version: int) -> Object:
    return {
        "kind": NAMESPACES.kind,
        "apiVersion": NAMESPACES.api_version,
        "metadata": {
            "name": name,
            "uid": f"namespace-{name}",
            "creationTimestamp": created,
            "resourceVersion": str(version),
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
