"""The path command: the URL alone on stdout, or one line on what to type instead."""

import pytest

from midstream.path_command import main
from midstream.rollouts.client import Cluster
from tests.midstream.rehearsing import rehearsing
from tests.midstream.rollouts.objects import merged, rollout, service
from tests.midstream.rollouts.shelf import Shelf

NAMESPACE = {"metadata": {"name": "llm"}}
FORWARD = "then give TARGET_HOST=http://127.0.0.1:8000"


def test_the_url_alone_is_on_stdout(capsys):
    urls = []
    with rehearsing() as name:
        for options in ([], ["--preview"]):
            assert main(["--rollout", name, *options]) == 0
            captured = capsys.readouterr()
            urls.append(captured.out)
            assert "of Service vllm-" in captured.err
    assert len(set(urls)) == 2
    assert all(url.startswith("http://127.") and url.count("\n") == 1 for url in urls)


CANARY = rollout(spec={"strategy": {"blueGreen": None, "canary": {}}})
NO_WAY = {
    "ClusterIP": (rollout(), [], f"`make port-forward` in another terminal, {FORWARD}"),
    "ClusterIP of the preview": (
        rollout(),
        ["--preview"],
        f"`python -m midstream forward llm/vllm-preview` in another terminal, {FORWARD}",
    ),
    "canary": (CANARY, [], "names no active Service"),
}


@pytest.mark.parametrize(("found", "options", "words"), NO_WAY.values(), ids=NO_WAY)
def test_no_way_gives_2_and_one_line(found, options, words, capsys, monkeypatch):
    services = [service(name, None, 1) for name in ("vllm-stable", "vllm-preview")]
    shelf = Shelf(namespaces=[NAMESPACE], rollouts=[found], services=services)
    monkeypatch.setattr(Cluster, "connect", lambda context=None: shelf)
    assert main(["--rollout", "llm/vllm", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert words in line
    assert "--host" not in line


def test_an_address_that_takes_no_connection_is_named(capsys, monkeypatch):
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}
    closed = merged(service("vllm-stable", None, 1), balanced | {"spec": {"ports": [{"port": 1}]}})
    shelf = Shelf(namespaces=[NAMESPACE], rollouts=[rollout()], services=[closed])
    monkeypatch.setattr(Cluster, "connect", lambda context=None: shelf)
    assert main(["--rollout", "llm/vllm"]) == 2
    assert "none of these takes a connection: LoadBalancer 127.0.0.1:1" in capsys.readouterr().err
