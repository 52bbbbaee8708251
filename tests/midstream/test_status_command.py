"""The status command: what it prints on a rehearsal, how its waiting ends, its exit codes."""

import pytest

from midstream.rollouts.client import Cluster
from midstream.rollouts.patience import PATIENCE, Patience
from midstream.rollouts.unready import Hold
from midstream.rollouts.verbs import RolloutVerbs
from midstream.status_command import main
from tests.midstream.rehearsing import rehearsing


@pytest.fixture(scope="module")
def rollout():
    with rehearsing() as name:
        yield name


def test_healthy(rollout, capsys):
    assert main(["--rollout", rollout]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Rollout {rollout}: Healthy"
    assert [line.split()[0] for line in lines[1:]] == ["revision", "pod", "Service", "Service"]


def test_a_command_that_fails_is_told_with_its_last_lines(rollout, capsys, monkeypatch):
    monkeypatch.setitem(PATIENCE, Hold.ENDED, Patience(0, "it ended"))
    monkeypatch.setitem(PATIENCE, Hold.ENDED_AGAIN, Patience(0, "it ended"))
    verbs = RolloutVerbs(Cluster.connect(), *rollout.split("/"))
    verbs.set_args(["--no-such-option"])
    assert main(["--rollout", rollout, "--wait", "60"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "python -m midstream status: it ended\n"
    assert "ended with exit code 2" in captured.out
    assert "  | " in captured.out
    assert "--no-such-option" in captured.out
    assert main(["--rollout", rollout]) == 1  # not healthy, nobody waited


def test_the_end_of_the_waiting(rollout, capsys, monkeypatch):
    for hold in (Hold.ENDED, Hold.ENDED_AGAIN):
        monkeypatch.setitem(PATIENCE, hold, Patience(None))
    verbs = RolloutVerbs(Cluster.connect(), *rollout.split("/"))
    verbs.set_args(["--still-no-such-option"])
    assert main(["--rollout", rollout, "--wait", "0.5"]) == 3
    assert "not there after 0.5 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("llm-serving/other", "no Rollout other in namespace llm-serving", id="no such Rollout"),
        pytest.param("elsewhere/vllm", "there is no namespace elsewhere", id="no such namespace"),
        pytest.param("vllm", "write NAMESPACE/NAME", id="no namespace given"),
    ],
)
def test_what_is_not_there_gives_2_and_one_line(rollout, name, words, capsys):
    assert main(["--rollout", name, "--wait", "30"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert words in line


def test_no_cluster_gives_2_and_one_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert main(["--rollout", "llm/vllm", "--wait", "30"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "does not answer: connection refused" in line
