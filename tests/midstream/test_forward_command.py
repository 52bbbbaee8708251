"""The forward command: bad input is one line with what to type; where connections go is one line each."""

import socket

import pytest

from midstream.forward.endpoints import Endpoint
from midstream.forward_command import main, pods_line
from midstream.rollouts.client import Cluster
from tests.midstream.rollouts.objects import merged, service
from tests.midstream.rollouts.shelf import Shelf

SERVICE = merged(service("vllm-stable", None, 1), {"spec": {"ports": [{"name": "http", "port": 80}]}})
BAD = {
    "no namespace": ("vllm", frozenset(), "write NAMESPACE/SERVICE"),
    "too many parts": ("a/b/c", frozenset(), "write NAMESPACE/SERVICE"),
    "no such Service": ("llm/nope", frozenset(), "there is no Service nope in namespace llm"),
    "no port": ("llm/portless", frozenset(), "Service portless in namespace llm has no port"),
    "no permission": (
        "llm/vllm-stable",
        frozenset({"pods/portforward"}),
        'resources: ["pods/portforward"], verbs: ["get", "create"]',
    ),
}


@pytest.mark.parametrize(("given", "denied", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(given, denied, words, capsys, monkeypatch):
    portless = merged(service("portless", None, 1), {"spec": {"ports": []}})
    shelf = Shelf(services=[SERVICE, portless], denied=denied)
    monkeypatch.setattr(Cluster, "connect", lambda context=None: shelf)
    assert main([given]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert words in line
    assert captured.out == ""


def test_a_port_that_is_taken_is_one_line(capsys, monkeypatch, tmp_path):
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c,"
        " contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}]}"
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr(Cluster, "get", lambda *_: SERVICE)
    monkeypatch.setattr(Cluster, "can", lambda *_: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert main(["llm/vllm-stable", "--port", str(number)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"port {number} of this machine is taken" in line


PORT = {"port": 80, "targetPort": "http"}
LINES = {
    "pods": ([Endpoint("a", 8000), Endpoint("b", 9)], [], "new connections go to a:8000, b:9"),
    "none": ([], [], "new connections are reset: no pod behind the Service is ready"),
    "a port that no container has": (
        [],
        ["a", "b"],
        "new connections are reset: no container of a, b has a port named http",
    ),
}


@pytest.mark.parametrize(("endpoints", "portless", "line"), LINES.values(), ids=LINES)
def test_where_connections_go_is_one_line(endpoints, portless, line):
    assert pods_line(endpoints, portless, PORT) == line
