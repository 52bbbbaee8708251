"""The ReplicaSet that a pod template asks for, named by the template's hash."""

import hashlib
import json
from typing import Any, NamedTuple

from midstream.rehearsal.patches import merged
from midstream.rehearsal.store import KINDS, NAME_ALPHABET, Object

HASH_LABEL = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"
REVISION_HISTORY = "rollout.argoproj.io/revision-history"
DESIRED_REPLICAS = "rollout.argoproj.io/desired-replicas"
SCALE_DOWN_DEADLINE = "scale-down-deadline"

HASH_LENGTH = 10  # Argo's are 9 or 10 letters of the same alphabet; this many never collide in a test


class Owner(NamedTuple):
    """Whose object it is, as ownerReferences tell it."""

    plural: str
    name: str
    uid: str


def pod_template_hash(template: Object) -> str:
    """A name for this pod template: the same for equal templates, whatever the order of their keys.

    Clients in Go write a null creationTimestamp and empty `resources` where a template has none, as `kubectl
    argo rollouts undo` does. To Argo, which hashes the decoded template, they are the same.
    """
    canonical = json.dumps(_without_unset(template), sort_keys=True, separators=(",", ":")).encode()
    number = int.from_bytes(hashlib.sha256(canonical).digest())
    letters = []
    for _ in range(HASH_LENGTH):
        number, index = divmod(number, len(NAME_ALPHABET))
        letters.append(NAME_ALPHABET[index])
    return "".join(letters)


def _without_unset(node: Any) -> Any:  # noqa: ANN401 - a node of a JSON document
    if isinstance(node, list):
        return [_without_unset(element) for element in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_unset(value)
        for key, value in node.items()
        if value is not None and (key, value) != ("resources", {})
    }


def owner_reference(owner: Owner) -> Object:
    """The reference by which an object names its controller."""
    kind = KINDS[owner.plural]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owner_uid(obj: Object) -> str | None:
    """The uid of the controller that owns an object."""
    references = obj["metadata"].get("ownerReferences", ())
    return next((reference["uid"] for reference in references if reference.get("controller")), None)


def new_replica_set(rollout: Object, revision: int, replicas: int) -> Object:
    """The ReplicaSet of the Rollout's present template, not scaled up yet (Argo, rollout/sync.go)."""
    template, metadata = rollout["spec"]["template"], rollout["metadata"]
    label = {HASH_LABEL: pod_template_hash(template)}
    labelled = merged(template, {"metadata": {"labels": label}})
    return {
        "metadata": {
            "name": f"{metadata['name']}-{label[HASH_LABEL]}",
            "namespace": metadata["namespace"],
            "labels": labelled["metadata"]["labels"],
            "annotations": {REVISION: str(revision), DESIRED_REPLICAS: str(replicas)},
            "ownerReferences": [owner_reference(Owner("rollouts", metadata["name"], metadata["uid"]))],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": rollout["spec"].get("minReadySeconds", 0),
            "selector": merged(rollout["spec"]["selector"], {"matchLabels": label}),
            "template": labelled,
        },
    }
