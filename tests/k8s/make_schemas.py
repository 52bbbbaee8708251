"""Writes tests/fixtures/schemas/objects.json from what a running cluster says of its kinds.

`python -m tests.k8s.make_schemas`, with kubectl and a kubeconfig of a cluster that has Argo Rollouts.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

OBJECTS = Path(__file__).parents[1] / "fixtures" / "schemas" / "objects.json"
ROLLOUT = "io.argoproj.v1alpha1.Rollout"
POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
# Each kind in k8s/: where it is published, under which name.
KINDS = {
    "v1/Namespace": ("api/v1", "io.k8s.api.core.v1.Namespace"),
    "v1/ConfigMap": ("api/v1", "io.k8s.api.core.v1.ConfigMap"),
    "v1/Service": ("api/v1", "io.k8s.api.core.v1.Service"),
    "v1/PersistentVolumeClaim": ("api/v1", "io.k8s.api.core.v1.PersistentVolumeClaim"),
    "apps/v1/DaemonSet": ("apis/apps/v1", "io.k8s.api.apps.v1.DaemonSet"),
    "argoproj.io/v1alpha1/Rollout": ("apis/argoproj.io/v1alpha1", ROLLOUT),
}
_PUBLISHED = "#/components/schemas/"
_KEPT = "#/$defs/"
# Written by a cluster or tried in no manifest of ours; a key that is left out here is refused like a typo.
_LEFT_OUT = frozenset({"status", "managedFields", "canary", "ephemeralContainers"})
_ANNOTATIONS = frozenset({"description", "default", "format"})


def strict(schema: Any) -> Any:
    """The schema without what judges nothing, and with every unknown key refused.

    Where nothing is published (no properties, or x-kubernetes-preserve-unknown-fields) it stays open.
    """
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {
        key: _properties(value) if key == "properties" else strict(value)
        for key, value in schema.items()
        if key not in _ANNOTATIONS and not key.startswith("x-kubernetes-")
    }
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace(_PUBLISHED, _KEPT)
    if "properties" in kept and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


def bundle(published: dict[str, Schema]) -> Schema:
    """All that the kinds need, from the schemas by name, as one document: `kinds` and their `$defs`."""
    definitions = {name: strict(schema) for name, schema in published.items()}
    # Argo's own has holes (volumes), but tells which newer fields its CRD would drop.
    template = definitions[ROLLOUT]["properties"]["spec"]["properties"]
    template["template"] = {"allOf": [template["template"], {"$ref": _KEPT + POD_TEMPLATE}]}
    for key, (_, name) in KINDS.items():
        api_version, _, kind = key.rpartition("/")
        told = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
        definitions[name]["properties"].update(told)
        definitions[name]["required"] = sorted(
            {"apiVersion", "kind", "metadata"} | _required(definitions[name])
        )
    needed: set[str] = set()
    for _, name in KINDS.values():
        _gather(definitions, name, needed)
    kinds = {key: {"$ref": _KEPT + name} for key, (_, name) in KINDS.items()}
    return {"kinds": kinds, "$defs": {name: definitions[name] for name in sorted(needed)}}


def _properties(properties: Schema) -> Schema:
    """A property may itself be called `default` or `format`: names are no keywords."""
    return {name: strict(schema) for name, schema in properties.items() if name not in _LEFT_OUT}


def _required(schema: Schema) -> set[str]:
    return set(schema.get("required", ()))


def _gather(definitions: dict[str, Schema], name: str, needed: set[str]) -> None:
    if name in needed:
        return
    needed.add(name)
    for reference in _references(definitions[name]):
        _gather(definitions, reference.removeprefix(_KEPT), needed)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


def _published() -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    for path in sorted({path for path, _ in KINDS.values()}):
        told = subprocess.run(
            ["kubectl", "get", "--raw", f"/openapi/v3/{path}"], check=True, capture_output=True, text=True
        )
        schemas = json.loads(told.stdout)["components"]["schemas"] | schemas
    return schemas


def _written(document: Schema) -> str:
    """JSON with one definition a line, so that a newer version shows as the definitions that it changed."""
    sections = (
        f"{json.dumps(section)}: {{\n{_lines(definitions)}\n}}" for section, definitions in document.items()
    )
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _lines(definitions: Schema) -> str:
    return ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(definitions[name], sort_keys=True)}" for name in definitions
    )


if __name__ == "__main__":
    OBJECTS.write_text(_written(bundle(_published())))
