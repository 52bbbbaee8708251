"""The forwarder on a real cluster: least privilege, a connection held across a promotion, an RST told so."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest
import yaml

from tests.cluster.commands import ROOT, kubectl

Object: TypeAlias = dict[str, Any]
READY_S = 60.0
SERVER = r"""
import os, socket, struct, threading, time
def serve(c):
    word = c.recv(100)
    c.sendall(os.environ["REVISION"].encode() + b"\n")
    if word == b"rst":
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif word == b"hold":
        c.recv(100)
        c.sendall(b"held to the end\n")
    c.close()
listening = socket.create_server(("", 8000))
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""
LABELS = {"app": "web"}


def promotable(image: str, revision: str) -> Object:
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "env": [{"name": "REVISION", "value": revision}],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "strategy": {"blueGreen": {"activeService": "web", "scaleDownDelaySeconds": 30}},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


def role(*portforward: str) -> Object:
    """What forward needs; the verbs on pods/portforward are given."""
    rules = [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        *[
            {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": list(portforward)}
            for _ in portforward[:1]
        ],
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "forward"},
        "rules": rules,
    }


def apply(namespace: str, *objects: Object) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))


@pytest.fixture
def kubeconfig(namespace, tmp_path) -> str:
    """Of a ServiceAccount that may do what the Role `forward` says."""
    kubectl("-n", namespace, "create", "serviceaccount", "forward")
    kubectl(
        *("-n", namespace, "create", "rolebinding", "forward", "--role=forward"),
        f"--serviceaccount={namespace}:forward",
    )
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": kubectl("-n", namespace, "create", "token", "forward").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def command(namespace: str, kubeconfig: str) -> "subprocess.Popen[str]":

    return subprocess.Popen(
        [sys.executable, "-m", "midstream", "forward", f"{namespace}/web", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": kubeconfig},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def forwarding(namespace: str, kubeconfig: str) -> Iterator[int]:
    """The local port of a forwarder that ends with 0 when it is told to."""
    with command(namespace, kubeconfig) as process:
        assert process.stdout is not None
        try:
            said = ""
            while (match := re.search(r"http://127\.0\.0\.1:(\d+) leads", said)) is None:
                line = process.stdout.readline()
                assert line, said
                said += line
            yield int(match[1])
        finally:
            process.terminate()
            rest = process.communicate(timeout=READY_S)[0]
        assert (process.returncode, "Traceback" in rest) == (0, False), rest


def asked(port: int, word: bytes) -> tuple[bytes, str]:
    """What a connection brings, with how it ends."""
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), READY_S) as connection:
            connection.sendall(word)
            while piece := connection.recv(100):
                got += piece
    except (ConnectionResetError, BrokenPipeError):
        return got, "RST"
    return got, "FIN"


def until_answered(port: int, revision: bytes) -> None:
    deadline = time.monotonic() + READY_S
    while (answer := asked(port, b"end")) != (revision + b"\n", "FIN"):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def test_a_held_connection_stays_and_new_ones_follow_the_promotion(namespace, image, kubeconfig):
    apply(namespace, role("get", "create"), SERVICE, promotable(image, "old"))
    with forwarding(namespace, kubeconfig) as port:
        until_answered(port, b"old")
        assert asked(port, b"rst") == (b"old\n", "RST")
        with socket.create_connection(("127.0.0.1", port), READY_S) as held:
            held.sendall(b"hold")
            assert held.recv(4) == b"old\n"
            apply(namespace, promotable(image, "new"))
            until_answered(port, b"new")
            held.sendall(b"go on")
            assert b"".join(iter(lambda: held.recv(100), b"")) == b"held to the end\n"
    kubectl("-n", namespace, "delete", "rollout", "web")


def test_a_missing_permission_is_named_as_a_rule(namespace, kubeconfig):
    apply(namespace, role(), SERVICE)
    with command(namespace, kubeconfig) as process:
        said = process.communicate(timeout=READY_S)[0]
    assert process.returncode == 2, said
    [line] = said.splitlines()
    assert line.endswith(
        'Missing: apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]'
    )
