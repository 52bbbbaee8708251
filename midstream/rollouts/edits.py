"""Each edit of a Rollout as a patch computed from the object that was read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts import argo
from midstream.rollouts.budget import serving_container

Object: TypeAlias = dict[str, Any]
Operations: TypeAlias = list[Object]

SAME_ANNOTATION = "midstream/run"  # a new value makes a new revision of the same template
MODEL_VARIABLE = "MODEL"

_SERVE_ARGUMENT = re.compile(r"(\bserve\s+)([^\s\"'$-][^\s\"']*)")
_MODEL_OPTION = re.compile(r"(--model(?:=|\s+))([^\s\"'$-][^\s\"']*)")


class _Place(NamedTuple):
    """Characters of one word."""

    word: int
    start: int
    end: int


class RefusedError(Exception):
    """The change makes no sense on this object; the text says why, with what to do."""


# Merge patches, by verb. Those of the status go to the status subresource (facts 4).
PROMOTE_STATUS: Object = {"status": {"pauseConditions": None}}
PROMOTE_FULL_STATUS: Object = {"status": {"promoteFull": True}}
ABORT_STATUS: Object = {"status": {"abort": True}}
RETRY_STATUS: Object = {"status": {"abort": False}}
UNPAUSE_SPEC: Object = {"spec": {"paused": False}}
PAUSE_SPEC: Object = {"spec": {"paused": True}}


def restart(rollout: Object, at: str) -> Object:
    """Merge patch that has every pod made before `at` (RFC 3339, whole seconds) replaced."""
    wanted, reached = rollout["spec"].get("restartAt"), (rollout.get("status") or {}).get("restartedAt")
    if wanted and wanted != reached:
        raise RefusedError(f"a restart is under way already, of the pods made before {wanted}")
    return {"spec": {"restartAt": at}}


def set_image(rollout: Object, images: Mapping[str, str]) -> Operations:
    """Give containers, by name, other images."""
    return [
        _set(_place(rollout, name), "image", image)
        for name, image in images.items()
        if _container(rollout, name).get("image") != image
    ]


def set_env(rollout: Object, variables: Mapping[str, str], container: str | None = None) -> Operations:
    """Give variables of a container (the serving one) other values; others stay as they are."""
    place = _place(rollout, container)
    present: list[Object] = _containers(rollout)[place].get("env") or []
    for entry in present:
        if entry["name"] in variables and "valueFrom" in entry:
            raise RefusedError(
                f"variable {entry['name']} has no value of its own but comes from elsewhere (valueFrom):"
                " change it there"
            )
    kept = [_revalued(entry, variables) for entry in present]
    names = {entry["name"] for entry in present}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in names]
    return [] if kept + added == present else [_set(place, "env", kept + added)]


def set_args(rollout: Object, args: Sequence[str], container: str | None = None) -> Operations:
    """Replace all args of a container (the serving one)."""
    place = _place(rollout, container)
    if _containers(rollout)[place].get("args") == list(args):
        return []
    return [_set(place, "args", list(args))]


def set_model(rollout: Object, model: str) -> Operations:
    """Name another model: env MODEL where there is one, else the argument of `serve` or `--model`."""
    place = _place(rollout, None)
    container = _containers(rollout)[place]
    if MODEL_VARIABLE in {entry["name"] for entry in container.get("env") or []}:
        return set_env(rollout, {MODEL_VARIABLE: model}, container["name"])
    for field in ("args", "command"):
        words = container.get(field) or []
        changed = _with_model(words, model)
        if changed is not None:
            return [] if changed == words else [_set(place, field, changed)]
    raise RefusedError(
        f"container {container['name']} has neither env {MODEL_VARIABLE} nor a model after `serve` or"
        " --model: use set-env, set-args or set-image"
    )


def model_of(container: Object) -> str | None:
    """The model that `set_model` would replace; None where it would refuse."""
    for entry in container.get("env") or []:
        if entry["name"] == MODEL_VARIABLE:
            return str(entry["value"]) if "value" in entry else None
    for field in ("args", "command"):
        words = container.get(field) or []
        if place := _model_place(words):
            return str(words[place.word][place.start : place.end])
    return None


def same(rollout: Object, value: str) -> Operations:
    """A new revision that differs in an annotation alone."""
    _template(rollout)
    metadata = rollout["spec"]["template"].get("metadata")
    root = "/spec/template/metadata"
    if metadata is None:
        return [{"op": "add", "path": root, "value": {"annotations": {SAME_ANNOTATION: value}}}]
    if metadata.get("annotations") is None:
        return [{"op": "add", "path": f"{root}/annotations", "value": {SAME_ANNOTATION: value}}]
    return [{"op": "add", "path": f"{root}/annotations/{_escaped(SAME_ANNOTATION)}", "value": value}]


def undo(rollout: Object, replica_sets: Sequence[Object], revision: int | None = None) -> Operations:
    """Go back to the template of an earlier revision (the one before the newest).

    The whole template is replaced: a merge patch would keep keys that the old one did not have.
    """
    _template(rollout)
    name = rollout["metadata"]["name"]
    numbered = {
        int(argo.annotations(item)[argo.REVISION_ANNOTATION]): item
        for item in replica_sets
        if argo.owned_by(item, "Rollout", name) and argo.REVISION_ANNOTATION in argo.annotations(item)
    }
    earlier = sorted(numbered)[:-1]
    wanted = revision if revision is not None else max(earlier, default=None)
    if wanted is None or wanted not in numbered:
        there = ", ".join(map(str, sorted(numbered))) or "none"
        what = "an earlier revision" if revision is None else f"revision {revision}"
        raise RefusedError(f"Rollout {name} has no ReplicaSet of {what} to go back to (revisions: {there})")
    template = _without_hash(numbered[wanted]["spec"]["template"])
    if template == rollout["spec"]["template"]:
        return []
    return [{"op": "replace", "path": "/spec/template", "value": template}]


def guarded(rollout: Object, operations: Operations) -> Operations:
    """The operations, refused by the API server when the object has changed since it was read."""
    version = rollout["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *operations]


def _without_hash(template: Object) -> Object:
    metadata = template["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key != argo.HASH_LABEL}
    return template | {"metadata": metadata | {"labels": labels}}


def _revalued(entry: Object, variables: Mapping[str, str]) -> Object:
    if entry["name"] not in variables:
        return entry
    return {"name": entry["name"], "value": variables[entry["name"]]}


def _with_model(words: Sequence[str], model: str) -> list[str] | None:
    """The words with another model; None when no model is named in them."""
    place = _model_place(words)
    if place is None:
        return None
    old = words[place.word]
    changed = old[: place.start] + model + old[place.end :]
    return [*words[: place.word], changed, *words[place.word + 1 :]]


def _model_place(words: Sequence[str]) -> _Place | None:
    """Where a model is named: a word of its own, in `--model=NAME`, or in a shell's command.

    A name behind a variable is none.
    """
    for index, word in enumerate(words):
        follows = words[index + 1 : index + 2]
        if word in ("serve", "--model") and follows and not follows[0].startswith("-"):
            return _Place(index + 1, 0, len(follows[0]))
        for pattern in (_MODEL_OPTION, _SERVE_ARGUMENT):
            if found := pattern.search(word):
                return _Place(index, found.start(2), found.end(2))
    return None


def _template(rollout: Object) -> Object:
    reference = argo.workload_ref(rollout)
    if reference is not None:
        raise RefusedError(
            f"the template lives in {reference.get('kind')} {reference.get('name')} (workloadRef): change it"
            " there and use --trigger none"
        )
    template: Object = rollout["spec"]["template"]
    return template


def _containers(rollout: Object) -> list[Object]:
    containers: list[Object] = _template(rollout)["spec"]["containers"]
    return containers


def _place(rollout: Object, name: str | None) -> int:
    containers = _containers(rollout)
    wanted = name or serving_container(rollout["spec"]["template"]["spec"])["name"]
    names = [container["name"] for container in containers]
    if wanted not in names:
        raise RefusedError(f"there is no container {wanted}: the template has {', '.join(names)}")
    return names.index(wanted)


def _container(rollout: Object, name: str) -> Object:
    return _containers(rollout)[_place(rollout, name)]


def _set(place: int, field: str, value: object) -> Object:
    """`add` sets an object's member whether it is there or not (RFC 6902 4.1)."""
    return {"op": "add", "path": f"/spec/template/spec/containers/{place}/{field}", "value": value}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
