"""The first way to a Service that takes a connection is taken, with what it leaves untested."""

import socket

import pytest

from midstream.rollouts.path import NoPathError, can_connect, find_path
from tests.midstream.rollouts.objects import merged, service
from tests.midstream.rollouts.shelf import Shelf

BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": "127.20.1.2"}]}}}
NODE = {
    "metadata": {"name": "n1"},
    "status": {
        "addresses": [
            {"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "10.0.0.5"},
            {"type": "ExternalIP", "address": "203.0.113.5"},
        ]
    },
}


def stable(*, status=None, **port):
    base = service("vllm-stable", "h", 1)
    base["spec"]["ports"] = [{"name": "http", "port": 80} | port]
    return merged(base, status or {})


def everywhere(host, port):
    return True


@pytest.mark.parametrize(
    ("shelf", "url", "words"),
    [
        pytest.param(
            Shelf(services=[stable(status=BALANCED)], in_cluster=True),
            "http://vllm-stable.llm.svc:80",
            "inside the cluster",
            id="in-cluster name first",
        ),
        pytest.param(
            Shelf(services=[stable(status=BALANCED, nodePort=30080)], nodes=[NODE]),
            "http://127.20.1.2:80",
            "LoadBalancer 127.20.1.2:80 of Service vllm-stable",
            id="load balancer before node port",
        ),
        pytest.param(
            Shelf(
                services=[
                    stable(status={"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}})
                ]
            ),
            "http://lb.example:80",
            "LoadBalancer lb.example:80",
            id="load balancer with a name",
        ),
        pytest.param(
            Shelf(services=[stable(nodePort=30080)], nodes=[NODE]),
            "http://203.0.113.5:30080",
            "NodePort 203.0.113.5:30080",
            id="node port on the outside address",
        ),
        pytest.param(
            Shelf(services=[stable(nodePort=30080)]),
            "http://10.0.0.1:30080",
            "NodePort 10.0.0.1:30080",
            id="no nodes to be listed: the API server's own address",
        ),
        pytest.param(
            Shelf(
                services=[stable(status={"status": {"loadBalancer": {"ingress": [{"ip": "::1"}]}}}, port=443)]
            ),
            "https://[::1]:443",
            "LoadBalancer ::1:443",
            id="IPv6 over TLS",
        ),
    ],
)
def test_order(shelf, url, words):
    path = find_path(shelf, "llm", "vllm-stable", reach=everywhere)
    assert path.url == url
    assert words in path.words
    assert "not tested" in path.proves_not


def test_a_way_that_takes_no_connection_is_passed_over():
    shelf = Shelf(services=[stable(status=BALANCED, nodePort=30080)], nodes=[NODE])
    path = find_path(shelf, "llm", "vllm-stable", reach=lambda host, _: host == "10.0.0.5")
    assert path.url == "http://10.0.0.5:30080"


@pytest.mark.parametrize(
    ("shelf", "words"),
    [
        pytest.param(Shelf(), "there is no Service vllm-stable", id="no Service"),
        pytest.param(Shelf(services=[stable()]), "no outside address.*--host", id="ClusterIP from outside"),
        pytest.param(
            Shelf(services=[stable(status=BALANCED)]),
            "none of these takes a connection: LoadBalancer 127.20.1.2:80.*--host",
            id="nothing answers",
        ),
    ],
)
def test_no_way_says_what_to_give(shelf, words):
    with pytest.raises(NoPathError, match=words):
        find_path(shelf, "llm", "vllm-stable", reach=lambda *_: False)


def test_can_connect_is_about_tcp_alone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert can_connect("127.0.0.1", port)
    assert not can_connect("127.0.0.1", port)
