"""A cluster as scripts see it: one scene, told by a stub kubectl and by an API server alike."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.midstream.rollouts.scripted import Asked, Exchange, serving

PROJECT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("stub_kubectl.py")
# All that scripts may need of a machine: what is not here is not on their PATH.
# fmt: off
TOOLS = (
    "bash", "basename", "cat", "chmod", "cut", "date", "dirname", "env", "grep", "head", "ln", "ls",
    "mkdir", "mktemp", "mv", "paste", "rm", "sed", "seq", "sleep", "sort", "tail", "tee", "timeout",
    "touch", "tr", "wc",
)
# fmt: on
WHOLE_S = 60.0

Object = dict[str, Any]


class Call(NamedTuple):
    """One call of kubectl."""

    argv: list[str]
    stdin: str


class Scene:
    """The folder with all of it: scene.json, the kubeconfig, a PATH.

    The file holds `contexts` (the first one is the current one), `version` (of GET /version), `down`
    (kubectl's words where the server does not answer), `objects`, `becomes` (what an apply puts beside or
    over them, as controllers and kubelets would), `denied` (rules that RBAC refuses: verb, resource),
    `answers` (kubectl's own for calls with these `words` in this order: `out`, `err`, `code`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scene.json"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"this machine has no {tool}"
            (self.bin / tool).symlink_to(found)
        self.program("kubectl", f'exec "{sys.executable}" "{STUB}" "{self.file}" "$@"')
        self.write(
            contexts=["here"],
            version={"gitVersion": "v1.34.1"},
            down="",
            objects=[node()],
            becomes=[],
            denied=[],
            answers=[],
        )

    def write(self, **changes: Any) -> None:
        """Change fields of the scene."""
        before = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps(before | changes))

    def read(self) -> Object:
        """The scene as it is now."""
        found: Object = json.loads(self.file.read_text())
        return found

    def program(self, name: str, text: str) -> None:
        """A program of the scene's own."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def calls(self, *words: str) -> list[Call]:
        """The calls of kubectl that begin with these words, --context left out."""
        file = self.folder / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            call
            for call in (Call(**json.loads(line)) for line in lines)
            if _plain(call.argv)[: len(words)] == list(words)
        ]

    def run(
        self, script: str, *words: str, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of scripts/ to its end."""
        return subprocess.run(
            [PROJECT / "scripts" / script, *words],
            cwd=cwd or self.folder,
            env={
                "PATH": str(self.bin),
                "HOME": str(self.folder),
                "LANG": os.environ.get("LANG", "C.UTF-8"),
                "KUBECONFIG": str(self.folder / "kubeconfig"),
                "MIDSTREAM_PYTHON": sys.executable,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=WHOLE_S,
            check=False,
        )

    def answer(self, exchange: Exchange, asked: Asked) -> None:
        """What the API server of the scene says."""
        scene = self.read()
        if asked.path == "/version":
            exchange.answer(200, scene["version"])
        elif asked.method == "POST" and asked.path.endswith("/selfsubjectaccessreviews"):
            wanted = asked.body["spec"]["resourceAttributes"]
            denied = {"verb": wanted["verb"], "resource": wanted["resource"]} in scene["denied"]
            exchange.answer(201, {"status": {"allowed": not denied}})
        elif asked.path == "/apis/argoproj.io/v1alpha1":
            exchange.answer(*_argo_resources(scene["objects"]))
        else:
            self._answer_objects(exchange, asked, scene)

    def _answer_objects(self, exchange: Exchange, asked: Asked, scene: Object) -> None:
        parts = asked.path.strip("/").split("/")[2 if asked.path.startswith("/api/") else 3 :]
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            _, namespace, *parts = parts
        plural, name = parts[0], parts[1] if len(parts) > 1 else ""
        verb = "get" if name else "list"
        if {"verb": verb, "resource": plural} in scene["denied"]:
            exchange.refuse(403, f"{plural} is forbidden")
            return
        found = [
            each
            for each in scene["objects"]
            if each["kind"].lower() + "s" == plural
            and namespace in ("", each["metadata"].get("namespace"))
            and name in ("", each["metadata"]["name"])
            and _selected(each, asked.query.get("labelSelector", ""))
        ]
        if not name:
            exchange.answer(200, {"metadata": {"resourceVersion": "1"}, "items": found})
        elif found:
            exchange.answer(200, found[0])
        else:
            exchange.refuse(404, f"{plural} {name} not found")


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """A scene whose API server answers until the end of the block."""
    made = Scene(folder)
    with serving(made.answer) as server:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [
                {"name": name, "context": {"cluster": "c", "user": "u"}} for name in made.read()["contexts"]
            ],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        yield made


def node(name: str = "node-a", gpus: int = 0, labels: Object | None = None, **spec: Any) -> Object:
    """A node that is Ready."""
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "4", **({"nvidia.com/gpu": str(gpus)} if gpus else {})},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def namespace(name: str, **metadata: Any) -> Object:
    """A namespace that is there."""
    return {"kind": "Namespace", "metadata": {"name": name, **metadata}, "status": {"phase": "Active"}}


def argo(version: str = "v1.9.1", available: int = 1) -> list[Object]:
    """Argo Rollouts: its CRD, its controller."""
    labels = {"app.kubernetes.io/name": "argo-rollouts"}
    container = {"name": "argo-rollouts", "image": f"quay.io/argoproj/argo-rollouts:{version}"}
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "rollouts.argoproj.io"},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "argo-rollouts", "namespace": "argo-rollouts", "labels": labels},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
            "status": {"availableReplicas": available},
        },
    ]


def held_pod(name: str, namespace: str, labels: Object, reason: str, message: str) -> Object:
    """A pod whose container waits for this reason."""
    waiting = {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Pending", "containerStatuses": [waiting]},
    }


def lines(words: str) -> Sequence[str]:
    """The lines with something on them."""
    return [line for line in words.splitlines() if line.strip()]


def _argo_resources(objects: list[Object]) -> tuple[int, Object]:
    served = [
        {"name": each["metadata"]["name"].partition(".")[0]}
        for each in objects
        if each["kind"] == "CustomResourceDefinition"
    ]
    return (200, {"resources": served}) if served else (404, {"kind": "Status", "message": "not found"})


def _selected(item: Object, selector: str) -> bool:
    wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
    return wanted.items() <= (item["metadata"].get("labels") or {}).items()


def _plain(argv: list[str]) -> list[str]:
    at = argv.index("--context") if "--context" in argv else len(argv)
    return argv[:at] + argv[at + 2 :]
