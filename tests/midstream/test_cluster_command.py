"""The cluster command: its lines, its exit codes, waiting, what it says of a cluster that is not there."""

import json

import pytest
import yaml

from midstream import cluster_command
from midstream.cluster.found import State, amiss, well
from midstream.cluster_command import exit_code, line, main, waited
from midstream.rehearsal import launch
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rollouts import client
from tests.midstream.cluster.test_look import API
from tests.midstream.rollouts.scripted import serving, write_kubeconfig

OK, PENDING, MISSING, UNFIT, UNKNOWN = State


@pytest.fixture
def kubeconfig(tmp_path, monkeypatch):
    """KUBECONFIG names a server."""

    def named(url):
        path = write_kubeconfig(tmp_path / "config", url)
        monkeypatch.setenv("KUBECONFIG", path)
        return tmp_path / "config"

    return named


@pytest.mark.parametrize(
    ("states", "now", "waited_for"),
    [
        ([OK, OK], 0, 0),
        ([OK, MISSING], 1, 1),
        ([UNFIT, UNKNOWN], 1, 1),
        ([OK, PENDING], 1, 3),
        ([OK, UNKNOWN], 3, 3),
        ([PENDING, UNFIT], 1, 1),
    ],
)
def test_the_exit_code_of_what_was_found(states, now, waited_for):
    assert exit_code(states, has_waited=False) == now
    assert exit_code(states, has_waited=True) == waited_for


def test_a_line_a_finding_whatever_the_words_are():
    found = amiss("argo", State.UNFIT, "is\nnot \x1b[2J", "do this")
    assert line(found) == "FAILED   argo       is not \\x1b[2J; mend: do this"
    assert line(well("nodes", "one")) == "ok       nodes      one"


def test_all_is_printed_and_json_holds_the_same(kubeconfig, capsys):
    with serving(API()) as server:
        kubeconfig(server.url)
        assert main(["-n", "llm"]) == 1
        printed = capsys.readouterr().out.splitlines()
        assert main(["-n", "llm", "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert main(["-n", "llm", "--no-gpu"]) == 0
    assert [each.split()[1] for each in printed] == [each["check"] for each in told]
    assert printed[0] == f"ok       api        context test, API server {server.url}, Kubernetes v1.34.1"
    assert {each["state"] for each in told if not each["ok"]} == {"unfit"}


class TestWaiting:
    def looks(self, *rounds):
        """Each look finds the next round, one second later."""
        clock = iter(range(1000))
        answers = iter(rounds)
        said: list[str] = []
        found = waited(lambda: next(answers), 5, said.append, lambda: float(next(clock)) / 2, lambda _: None)
        return found, said

    def test_until_all_is_well_each_trouble_said_once(self):
        first = (amiss("argo", PENDING, "not yet", ""),)
        second = (amiss("argo", UNFIT, "held up", ""),)
        end = (well("argo", "there"),)
        found, said = self.looks(first, first, second, first, end)
        assert found == end
        assert [each.partition(": ")[2] for each in said] == ["not yet", "held up"]
        assert said[0].startswith("waiting 0 of 5 s")

    def test_no_longer_than_asked(self):
        never = (amiss("argo", PENDING, "not yet", ""),)
        found, said = self.looks(*[never] * 50)
        assert (found, len(said)) == (never, 1)

    def test_a_controller_that_comes_up(self, kubeconfig, capsys, monkeypatch):
        monkeypatch.setattr(cluster_command, "LOOK_EVERY_S", 0.01)
        api = API({"/apis/apps/v1/deployments": []})

        def script(exchange, asked):
            api(exchange, asked)
            if sum(each.path == "/version" for each in server.asked) == 3:
                api.answers["/apis/apps/v1/deployments"] = API().answers["/apis/apps/v1/deployments"]

        with serving(script) as server:
            kubeconfig(server.url)
            assert main(["--check", "argo", "--wait", "30"]) == 0
        captured = capsys.readouterr()
        assert "waiting 0 of 30 s: Argo Rollouts is not installed" in captured.err
        assert "controller argo-rollouts/argo-rollouts available" in captured.out


class TestNoCluster:
    def said(self, capsys, *argv):
        assert main(argv) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        # The test's own server notes its requests there, too.
        [words] = [each for each in captured.err.splitlines() if not each.startswith("127.0.0.1 - -")]
        return words

    def test_another_context(self, kubeconfig, capsys):
        kubeconfig("http://127.0.0.1:9")
        assert "there is no context prod in " in self.said(capsys, "--context", "prod")

    def test_nobody_listens(self, kubeconfig, capsys):
        kubeconfig("http://127.0.0.1:9")
        words = self.said(capsys)
        assert "context test: the API server http://127.0.0.1:9 does not answer: connection refused" in words
        assert words.endswith("is it up, and reachable from here?")

    def test_credentials_of_yesterday(self, kubeconfig, capsys):
        with serving(lambda exchange, _: exchange.refuse(401, "Unauthorized")) as server:
            kubeconfig(server.url)
            words = self.said(capsys)
        assert "does not accept the credentials (get version: 401 Unauthorized)" in words
        assert words.endswith("log in again, or fetch a new kubeconfig")

    def test_a_server_that_says_nothing(self, kubeconfig, capsys, monkeypatch):
        monkeypatch.setattr(client, "VERSION_S", 0.1)
        with serving(lambda exchange, _: exchange.hold()) as server:
            kubeconfig(server.url)
            assert "does not answer: timed out" in self.said(capsys)

    def test_no_current_context(self, kubeconfig, capsys):
        path = kubeconfig("http://127.0.0.1:9")
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"current-context": ""}))
        assert "has no current context: name one of test (--context)" in self.said(capsys)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--gpus", "0"], "'0': write a whole number from 1 on"),
        (["--gpus", "two"], "'two': write a whole number from 1 on"),
        (["--wait", "soon"], "'soon': write seconds, such as 300"),
        (["--gpus", "2", "--no-gpu"], "not allowed with argument"),
        (["--check", "all"], "invalid choice"),
    ],
)
def test_wrong_options(argv, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_rehearsal_needs_nothing(capsys, monkeypatch):
    rehearsal = launch.start(RehearsalPlan(load_seconds=0))
    try:
        monkeypatch.setenv("KUBECONFIG", rehearsal.announcement.kubeconfig)
        assert main([]) == 0
    finally:
        rehearsal.stop()
    [words] = capsys.readouterr().out.splitlines()
    assert "a rehearsal, which brings Argo Rollouts with it and needs no GPU" in words
