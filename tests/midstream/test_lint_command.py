"""The lint command: its page, its exit codes, one line for bad input; a rehearsal as the live cluster."""

import io

import pytest
import yaml

from midstream.lint_command import main
from tests.k8s.manifests import K8S
from tests.midstream.rehearsing import rehearsing

BASE = K8S / "base" / "rollout.yaml"
PLAIN = """
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: a, image: b}]}}}
"""


def test_the_budget_is_a_sum_with_its_sources(capsys):
    assert main(["-f", str(BASE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Rollout vllm", "how long a stream can live after the cutover:"]
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["30", "s", "delay"],
        ["+", "60", "s"],
        ["+", "25", "s"],
        ["=", "115", "s"],
    ]
    assert "--shutdown-timeout 25" in lines[4]
    assert "terminationGracePeriodSeconds" in lines[4]
    assert lines[6] == "no finding"


def test_warnings_alone_give_0(capsys):
    assert main(["-f", str(BASE), "--stream-seconds", "60"]) == 0
    assert "warning  streams-miss-sigterm: streams of 60 s" in capsys.readouterr().out


def test_each_workload_of_a_file_is_told_and_one_error_gives_1(tmp_path, capsys):
    (tmp_path / "all.yaml").write_text(f"{BASE.read_text()}\n---\n{PLAIN}")
    assert main(["-f", str(tmp_path / "all.yaml")]) == 1
    out = capsys.readouterr().out
    assert out.startswith("Rollout vllm\n")
    assert "\n\nDeployment web\nhow long a stream can live after the deletion of its pod:\n" in out
    assert "unknown engine" in out


def test_a_file_from_stdin(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(PLAIN))
    assert main(["-f", "-"]) == 1
    assert capsys.readouterr().out.startswith("Deployment web\n")


def test_the_version_that_a_file_is_meant_for(capsys):
    assert main(["-f", str(BASE), "--kubernetes", "v1.29.4"]) == 1
    assert "prestop-sleep: preStop.sleep on Kubernetes 1.29" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param([], "NAMESPACE/NAME, or -f FILE", id="nothing"),
        pytest.param(["a/b", "-f", "c"], "NAMESPACE/NAME, or -f FILE", id="both"),
        pytest.param(["-f", "c", "--context", "d"], "leave them out beside -f", id="a context for a file"),
        pytest.param(
            ["a/b", "--kubernetes", "1.29"], "--kubernetes goes with -f", id="a version for a cluster"
        ),
        pytest.param(["vllm"], "write NAMESPACE/NAME", id="no namespace"),
        pytest.param(["-f", "/nowhere.yaml"], "No such file", id="no such file"),
        pytest.param(["-f", "/"], "Is a directory", id="a folder"),
    ],
)
def test_a_wrong_command_gives_2_and_one_line(argv, words, capsys):
    assert main(argv) == 2
    assert_one_line(capsys, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "there is no Rollout, Deployment or StatefulSet", id="empty"),
        pytest.param("a: [", "no YAML", id="no YAML"),
        pytest.param("[" * 5000, "no YAML", id="too deep"),
        pytest.param("- a", "no Kubernetes object", id="a list"),
        pytest.param("kind: Service", "there is no Rollout", id="another kind"),
        pytest.param("kind: Rollout", "missing required field `metadata`", id="no metadata"),
        pytest.param(
            PLAIN.replace("[{name: a, image: b}]", "[]"), "spec.template.spec.containers", id="no container"
        ),
        pytest.param(PLAIN.replace("image: b", "args: {}"), "containers[0].args", id="a wrong type"),
        pytest.param(
            "{kind: Rollout, metadata: {name: a}, spec: {workloadRef: {kind: Deployment, name: web}}}",
            "Deployment web (workloadRef), which is not there",
            id="a workloadRef to nothing",
        ),
        pytest.param(
            PLAIN.replace("image: b", "resources: {requests: {cpu: many}}")
            + "\n---\n{kind: ResourceQuota, metadata: {name: q}, spec: {hard: {cpu: 1}}}",
            "'many' is no quantity",
            id="no quantity",
        ),
    ],
)
def test_a_file_of_something_else_gives_2_and_one_line(text, words, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(text)
    assert main(["-f", str(tmp_path / "a.yaml")]) == 2
    assert_one_line(capsys, words)


def test_a_list_is_opened_and_a_workload_ref_followed(tmp_path, capsys):
    rollout = {
        "kind": "Rollout",
        "metadata": {"name": "web"},
        "spec": {
            "workloadRef": {"kind": "Deployment", "name": "web"},
            "strategy": {"blueGreen": {"activeService": "a", "autoPromotionEnabled": False}},
        },
    }
    items = [rollout, yaml.safe_load(PLAIN)]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"kind": "List", "items": items}))
    assert main(["-f", str(tmp_path / "a.yaml")]) == 1
    out = capsys.readouterr().out
    assert "Rollout web\n" in out
    assert "Deployment" not in out.splitlines()[0]
    assert out.count("how long a stream can live") == 1


def test_words_of_a_manifest_steer_no_terminal(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(PLAIN.replace("name: web", 'name: "w\\e[2Jeb"'))
    main(["-f", str(tmp_path / "a.yaml")])
    assert "\x1b" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def live():
    with rehearsing() as name:
        yield name


def test_a_live_rollout(live, capsys):
    assert main([live]) == 1  # a rehearsal as quick as can be: no preStop, no drain
    out = capsys.readouterr().out
    assert out.startswith(f"Rollout {live}\n")
    assert "error    no-shutdown-timeout: " in out
    assert "not examined: resourcequotas: the cluster does not know them" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param(["llm-serving/other"], "no Rollout other", id="no such Rollout"),
        pytest.param(["llm-serving/a", "--kind", "deployment"], "no Deployment a", id="no such Deployment"),
    ],
)
def test_what_is_not_there_gives_2_and_one_line(live, argv, words, capsys):
    assert main(argv) == 2
    assert_one_line(capsys, words)


def assert_one_line(capsys, words):
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert words in line
