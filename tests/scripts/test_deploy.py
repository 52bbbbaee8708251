"""deploy.sh: what goes first, what is waited for, what is never touched."""

import re

import pytest

from tests.scripts.stage import Answer, Stage

MANIFESTS = """\
apiVersion: v1
kind: Namespace
metadata:
  labels:
    app.kubernetes.io/part-of: midstream
  name: llm-serving
---
apiVersion: v1
kind: Service
metadata:
  name: vllm-stable
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: vllm
spec:
  selector: {}
"""
LIVE = '{"spec": {"replicas": 1}}'
CHANGED = '{"spec": {"replicas": 2}}'
LABELS = "app=vllm,rollouts-pod-template-hash"
NAMESPACE = "get namespace llm-serving"
IN_IT = "^kubectl .*get rollouts.argoproj.io,configmaps,services -l app.kubernetes.io/part-of!=midstream"


def field(path: str) -> str:
    """The pattern of a question for one field of the Rollout."""
    return rf"get rollouts.argoproj.io vllm .*{re.escape('{' + path + '}')}"


@pytest.fixture
def cluster(stage: Stage) -> Stage:
    """One with Argo, and nothing of ours."""
    stage.answer("^python -P -m midstream ", "")
    stage.answer("api-resources", "rollouts.argoproj.io\n")
    stage.answer("api-resources --namespaced", "rollouts.argoproj.io\nconfigmaps\nevents\nservices\n")
    stage.answer(r"^kubectl (-n \S+ )?(kustomize|apply|delete|get) ", "")
    stage.answer("^kubectl kustomize", MANIFESTS)
    stage.answer("go-template=.*matchLabels", LABELS)
    return stage


@pytest.fixture
def deployed(cluster: Stage) -> Stage:
    """One where it runs, as the manifests say."""
    cluster.answer(NAMESPACE, "Active/midstream")
    cluster.answer("get rollouts.argoproj.io vllm .*-o json$", LIVE)
    cluster.answer("apply --dry-run=server", LIVE)
    cluster.answer(field(".status.stableRS"), "old")
    cluster.answer(field(".status.currentPodHash"), "old")
    cluster.answer(field(".metadata.name"), "vllm")
    return cluster


def applied(stage: Stage) -> list[str]:
    """The files that were applied, in order."""
    return re.findall(r"apply -f \S+/(\w+)\.yaml", "\n".join(stage.calls))


def one_line(text: str) -> str:
    assert re.fullmatch(r"deploy.sh: [^\n]+\n", text), text
    return text


class TestUp:
    def test_the_rollout_comes_last_and_is_waited_for(self, cluster) -> None:
        ended = cluster.run("deploy.sh", "up", "--overlay", "sim", "--timeout", "77")
        assert (ended.code, ended.err) == (0, "")
        assert applied(cluster) == ["namespace", "rest", "rollout"]
        (status,) = cluster.asked("midstream status")
        assert re.search(r"--rollout llm-serving/vllm --wait 7\d$", status)

    def test_it_ends_with_the_addresses_and_what_to_type_next(self, cluster) -> None:
        cluster.answer("midstream path", "http://n:1", Answer(2, err="no way\n"))
        cluster.answer(field(".spec.strategy.blueGreen.activeService"), "vllm-stable")
        cluster.answer(field(".spec.strategy.blueGreen.previewService"), "vllm-preview")
        ended = cluster.run("deploy.sh", "up", "--namespace", "mine")
        assert (ended.code, ended.err) == (0, "")
        assert "stable   http://n:1\n" in ended.out
        assert "http://vllm-preview.mine.svc:8000 inside the cluster" in ended.out
        assert "make NAMESPACE=mine smoke" in ended.out

    @pytest.mark.parametrize("code", [1, 2, 3])
    def test_its_exit_code_is_the_waiting_s(self, cluster, code) -> None:
        cluster.answer("midstream status", Answer(code, err="why\n"))
        ended = cluster.run("deploy.sh", "up")
        assert (ended.code, ended.err) == (code, "why\n")

    def test_what_runs_already_is_left_as_it_is(self, deployed) -> None:
        ended = deployed.run("deploy.sh", "up")
        assert (ended.code, ended.err) == (0, "")
        assert applied(deployed) == ["namespace", "rest"]
        assert "rollout.argoproj.io/vllm unchanged" in ended.out

    def test_the_former_revision_s_pods_are_waited_for_before_the_update(self, deployed) -> None:
        deployed.answer("apply --dry-run=server", CHANGED)
        deployed.answer("get pods", "pod/vllm-older\n", "")
        ended = deployed.run("deploy.sh", "up")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.count("waiting for the end of the former revision: pod/vllm-older\n") == 1
        pods = deployed.asked("get pods")
        assert len(pods) == 2
        assert f"{LABELS},rollouts-pod-template-hash!=old" in pods[0]
        assert applied(deployed)[-1] == "rollout"
        assert deployed.calls.index(pods[-1]) < deployed.calls.index(deployed.asked("rollout.yaml$")[-1])

    def test_pods_of_a_deployment_that_was_taken_down_too(self, cluster) -> None:
        cluster.answer("get pods", "pod/vllm-gone\n", "")
        ended = cluster.run("deploy.sh", "up")
        assert ended.code == 0
        assert "waiting for the end of the former deployment: pod/vllm-gone\n" in ended.out

    def test_pods_that_never_end_are_told_at_the_deadline(self, cluster) -> None:
        cluster.answer("get pods", "pod/vllm-stuck\n")
        ended = cluster.run("deploy.sh", "up", "--timeout", "1")
        assert ended.code == 3
        assert "still there after 1 s (--timeout): pod/vllm-stuck" in one_line(ended.err)
        assert "rollout" not in applied(cluster)

    def test_an_update_under_way_is_refused_with_both_ways_out(self, deployed) -> None:
        deployed.answer("apply --dry-run=server", CHANGED)
        deployed.answer(field(".status.currentPodHash"), "new")
        ended = deployed.run("deploy.sh", "up")
        assert ended.code == 2
        said = one_line(ended.err)
        assert "update PROMOTE=1" in said
        assert "update UNDO=1" in said
        assert applied(deployed) == []

    def test_one_that_was_given_up_is_no_longer_under_way(self, deployed) -> None:
        deployed.answer("apply --dry-run=server", CHANGED)
        deployed.answer(field(".status.currentPodHash"), "new")
        deployed.answer(field(".status.abort"), "true")
        assert deployed.run("deploy.sh", "up").code == 0

    def test_an_update_that_it_began_says_how_to_promote(self, deployed) -> None:
        deployed.answer("apply --dry-run=server", CHANGED)
        deployed.answer(field(".status.currentPodHash"), "old", "new")
        ended = deployed.run("deploy.sh", "up")
        assert ended.code == 0
        assert "make update PROMOTE=1 promotes it." in ended.out

    def test_a_namespace_of_others_gets_no_label_of_ours(self, cluster) -> None:
        cluster.answer(NAMESPACE, "Active/")
        assert cluster.run("deploy.sh", "up").code == 0
        assert applied(cluster) == ["rest", "rollout"]

    @pytest.mark.parametrize(
        ("arguments", "pattern", "answer", "said"),
        [
            pytest.param("up", "api-resources", "", "no Argo Rollouts: make bootstrap", id="no Argo"),
            pytest.param(
                "up", NAMESPACE, "Terminating/midstream", "is being deleted: wait", id="terminating"
            ),
            pytest.param("up --overlay xyz", "never", "", "OVERLAY=xyz: there is base", id="no such overlay"),
            pytest.param("up --overlay", "never", "", "--overlay needs a value", id="no value"),
            pytest.param("up --timeout soon", "never", "", "--timeout soon", id="no number"),
            pytest.param("", "never", "", "say up or down", id="nothing"),
            pytest.param("away", "never", "", "no option away", id="no such verb"),
            pytest.param(
                "up", "^kubectl kustomize", Answer(1, err="why\nlast\n"), "cannot be built: last", id="broken"
            ),
        ],
    )
    def test_bad_input_is_one_line_and_nothing_is_written(
        self, cluster, arguments, pattern, answer, said
    ) -> None:
        cluster.answer(pattern, answer)
        ended = cluster.run("deploy.sh", *arguments.split())
        assert ended.code == 2
        assert said in one_line(ended.err)
        assert applied(cluster) == []

    def test_what_kubectl_refuses_ends_it_in_kubectl_s_words(self, cluster) -> None:
        cluster.answer("apply -f .*/rest.yaml", Answer(1, err="Error: services is forbidden\n"))
        ended = cluster.run("deploy.sh", "up")
        assert (ended.code, ended.err) == (2, "Error: services is forbidden\n")
        assert "rollout" not in applied(cluster)

    def test_nothing_is_left_of_its_own_folder(self, cluster, tmp_path) -> None:
        (tmp_path / "tmp").mkdir()
        cluster.environ["TMPDIR"] = str(tmp_path / "tmp")
        cluster.run("deploy.sh", "up")
        assert cluster.asked(f"kustomize {tmp_path}/tmp/")
        assert not list((tmp_path / "tmp").iterdir())


class TestDown:
    @pytest.fixture
    def deployed(self, deployed: Stage) -> Stage:
        """With nothing of others in its namespace."""
        deployed.answer("get rollouts.argoproj.io -l .* -o name", "rollout.argoproj.io/vllm\n", "")
        deployed.answer("get pods", "pod/vllm-1\n", "")
        deployed.answer(IN_IT, "configmap/kube-root-ca.crt\nserviceaccount/default\n")
        return deployed

    def test_the_rollout_goes_first_the_namespace_last(self, deployed) -> None:
        ended = deployed.run("deploy.sh", "down")
        assert (ended.code, ended.err) == (0, "")
        deleted = [call.split(" delete ")[1] for call in deployed.asked(" delete ")]
        assert [each.split()[0] for each in deleted] == [
            "rollout.argoproj.io/vllm",
            "rollouts.argoproj.io,configmaps,services",
            "namespace",
        ]
        assert "--cascade=foreground" in deleted[0]
        assert "-l app.kubernetes.io/part-of=midstream" in deleted[1]
        assert "waiting for the end of the pods: pod/vllm-1\n" in ended.out
        assert ended.out.endswith("Nothing is left of the deployment, namespace llm-serving included.\n")

    @pytest.mark.parametrize(
        ("pattern", "answer", "why"),
        [
            pytest.param(IN_IT, "secret/theirs\n", "what others made: secret/theirs", id="not empty"),
            pytest.param(NAMESPACE, "Active/", "it is not ours", id="not ours"),
            pytest.param(
                "api-resources --namespaced",
                Answer(1, "rollouts.argoproj.io\nconfigmaps\nservices\n", "error: metrics\n"),
                "a part of the API does not answer",
                id="kinds unknown",
            ),
        ],
    )
    def test_a_namespace_that_may_be_of_use_to_others_stays(self, deployed, pattern, answer, why) -> None:
        deployed.answer(pattern, answer)
        ended = deployed.run("deploy.sh", "down")
        assert (ended.code, ended.err) == (0, "")
        assert re.search(rf"namespace llm-serving stays.*{re.escape(why)}", ended.out)
        assert not deployed.asked("delete namespace")

    def test_a_namespace_that_cannot_be_looked_into_stays(self, deployed) -> None:
        deployed.answer(IN_IT, Answer(1, err="Error: secrets is forbidden\n"))
        ended = deployed.run("deploy.sh", "down")
        assert (ended.code, ended.err) == (2, "Error: secrets is forbidden\n")
        assert not deployed.asked("delete namespace")

    def test_the_second_time_there_is_nothing_to_do(self, cluster) -> None:
        ended = cluster.run("deploy.sh", "down")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == "Nothing to do: there is no namespace llm-serving.\n"
        assert not cluster.asked(" delete ")

    def test_pods_that_never_end_are_told_at_the_deadline(self, deployed) -> None:
        deployed.answer("get pods", "pod/vllm-stuck\n")
        ended = deployed.run("deploy.sh", "down", "--timeout", "1")
        assert ended.code == 3
        assert "pod/vllm-stuck" in one_line(ended.err)
        assert not deployed.asked("delete (namespace|rollouts.argoproj.io,)")

    def test_a_cluster_without_argo_has_no_rollout_to_delete(self, deployed) -> None:
        deployed.answer("api-resources --namespaced", "configmaps\nservices\n")
        deployed.answer(IN_IT)
        assert deployed.run("deploy.sh", "down").code == 0
        assert not deployed.asked("rollouts.argoproj.io")
