"""Reads the YAML of k8s/ as files, as objects with what their schema says of them, as kustomize builds it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.k8s.make_schemas import OBJECTS

Object: TypeAlias = dict[str, Any]

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = {"base": K8S / "base", "gpu": K8S / "overlays" / "gpu", "sim": K8S / "overlays" / "sim"}
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(
    KUBECTL is None, reason="kubectl is not installed: kustomize builds the overlays"
)

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_SCHEMAS = OBJECTS.parent
_PUBLISHED = json.loads(OBJECTS.read_text())
_KUSTOMIZATION = "kustomize.config.k8s.io/v1beta1/Kustomization"
_OWN = {
    _KUSTOMIZATION: json.loads((_SCHEMAS / "kustomization.json").read_text()),
    "JSON patch": json.loads((_SCHEMAS / "json-patch.json").read_text()),
}


class Document(NamedTuple):
    """One document of a file; `place` is for people."""

    place: str
    content: Any


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win; kubectl and people see two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{sorted(twice)} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> list[Any]:
    """The documents of a YAML text; an equal key twice in a mapping is an error."""
    return [document for document in yaml.load_all(text, _UniqueKeys) if document is not None]


def yaml_files(folder: Path = K8S) -> list[Path]:
    """Every file that kubectl might be given."""
    return sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)


def documents(path: Path) -> Iterator[Document]:
    """The documents of a file and the patches written inside a kustomization."""
    for number, content in enumerate(parse(path.read_text()), 1):
        yield Document(f"{path.name} document {number}", content)
        if kind_of(content) == _KUSTOMIZATION:
            for patch in filter(None, (entry.get("patch") for entry in content.get("patches", ()))):
                yield from (Document(f"{path.name} patch", inner) for inner in parse(patch))


def kind_of(content: Any) -> str:
    """apiVersion/kind; a list is a JSON patch."""
    if isinstance(content, list):
        return "JSON patch"
    return (
        f"{content.get('apiVersion')}/{content.get('kind')}" if isinstance(content, dict) else repr(content)
    )


def faults(content: Any) -> list[str]:
    """What its schema finds wrong in a document; also, that there is no schema for its kind."""
    kind = kind_of(content)
    if kind in _OWN:
        schema = _OWN[kind]
    elif kind in _PUBLISHED["kinds"]:
        schema = _PUBLISHED["kinds"][kind] | {"$defs": _PUBLISHED["$defs"]}
    else:
        return [f"no schema for {kind}: tests/fixtures/schemas/README.md tells how to add one"]
    return [
        f"{error.json_path}: {error.message[:300]}"
        for error in Draft202012Validator(schema).iter_errors(content)
    ]


def build(folder: Path) -> tuple[list[Object], str]:
    """What `kubectl kustomize` makes of a folder, and what it says on the side. Needs no cluster."""
    assert KUBECTL is not None
    ran = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return parse(ran.stdout), ran.stderr


def as_written(folder: Path) -> list[Object]:
    """The objects of a folder that patches nothing, in the order of its resources."""
    (kustomization,) = parse((folder / "kustomization.yaml").read_text())
    return [content for name in kustomization["resources"] for content in parse((folder / name).read_text())]


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of its kind (and name)."""
    (found,) = (each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def container(rollout: Object) -> Object:
    """Its container `vllm`, which must be the only one."""
    found: Object
    (found,) = rollout["spec"]["template"]["spec"]["containers"]
    assert found["name"] == "vllm"
    return found


def option(rollout: Object, name: str) -> str:
    """The value of `--name=value` in the arguments, which must be there once."""
    found: str
    (found,) = (word for word in container(rollout)["args"] if word.startswith(f"--{name}="))
    return found.partition("=")[2]
