"""What the API says of itself: its version, which is a rehearsal's, and the resources it serves."""

from midstream.rehearsal.namespaces import NAMESPACES
from midstream.rehearsal.store import KINDS, Kind, Object

REHEARSAL_MARK = "midstream-rehearsal"  # the subject of a verdict reads from /version what was tested

VERSION: Object = {
    "major": "1",
    "minor": "34",
    "gitVersion": f"v1.34.0+{REHEARSAL_MARK}",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux",
}

SHORT_NAMES = {
    "rollouts": ["ro"],
    "analysisruns": ["ar"],
    "replicasets": ["rs"],
    "deployments": ["deploy"],
    "pods": ["po"],
    "services": ["svc"],
    "events": ["ev"],
    "namespaces": ["ns"],
}

REVIEWS = Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False)
READ_VERBS = ["get", "list", "watch"]
OBJECT_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def discovery() -> dict[str, Object]:
    """Each discovery document by its path."""
    served = (*KINDS.values(), NAMESPACES, REVIEWS)
    groups = sorted({(kind.group, kind.version) for kind in served if kind.group})
    documents: dict[str, Object] = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": _resources("v1", [kind for kind in served if not kind.group]),
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*pair) for pair in groups]},
    }
    for group, version in groups:
        documents[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)}
        members = [kind for kind in served if kind.group == group]
        documents[f"/apis/{group}/{version}"] = _resources(f"{group}/{version}", members)
    return documents


def _group(group: str, version: str) -> Object:
    preferred = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [preferred], "preferredVersion": preferred}


def _resources(group_version: str, kinds: list[Kind]) -> Object:
    resources = []
    for kind in kinds:
        resources.append(_resource(kind, kind.plural, _verbs(kind)))
        if kind.has_status:
            resources.append(_resource(kind, f"{kind.plural}/status", ["get", "patch", "update"]))
        if kind.plural == "pods":
            resources.append(_resource(kind, "pods/log", ["get"]))
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _verbs(kind: Kind) -> list[str]:
    if kind is REVIEWS:
        return ["create"]
    if kind is NAMESPACES:
        return ["get", "list"]
    return READ_VERBS if kind.read_only else OBJECT_VERBS


def _resource(kind: Kind, name: str, verbs: list[str]) -> Object:
    resource: Object = {
        "name": name,
        "singularName": kind.kind.lower(),
        "namespaced": kind not in (NAMESPACES, REVIEWS),
        "kind": kind.kind,
        "verbs": verbs,
    }
    if name in SHORT_NAMES:
        resource["shortNames"] = SHORT_NAMES[name]
    return resource
