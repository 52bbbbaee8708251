"""What kustomize makes of each overlay: whole, valid, its delays in step with each other."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from hooks.settings import ROLLOUT_STREAM_SECONDS
from midstream.rollouts.budget import read_budget
from tests.k8s.manifests import OVERLAYS, ROOT, Object, build, container, faults, needs_kubectl, one, option

pytestmark = needs_kubectl

BUILDS: dict[str, tuple[list[Object], str]] = {}
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def objects(overlay):
    if overlay not in BUILDS:
        BUILDS[overlay] = build(OVERLAYS[overlay])
    return BUILDS[overlay][0]


def rollout(overlay):
    return one(objects(overlay), "Rollout", "vllm")


def pod(overlay):
    return rollout(overlay)["spec"]["template"]["spec"]


@each_overlay
def test_it_builds_without_a_warning(overlay):
    assert objects(overlay)
    assert BUILDS[overlay][1] == ""


@each_overlay
def test_what_is_built_is_as_its_schema_says(overlay):
    assert [fault for each in objects(overlay) for fault in faults(each)] == []


@each_overlay
def test_every_object_says_whose_part_it_is(overlay):
    labelled = [*objects(overlay), rollout(overlay)["spec"]["template"]]
    assert {each["metadata"]["labels"].get("app.kubernetes.io/part-of") for each in labelled} == {"midstream"}


@each_overlay
def test_the_rollout_comes_last(overlay):
    kinds = [each["kind"] for each in objects(overlay)]
    assert kinds[0] == "Namespace"
    assert kinds.index("Rollout") == len(kinds) - 1
    assert kinds.count("Service") == 2


@each_overlay
def test_another_kustomization_moves_all_of_it(overlay, tmp_path):
    # kustomize takes no absolute folder.
    here = Path(*[".."] * len(tmp_path.resolve().parts[1:]), *OVERLAYS[overlay].resolve().parts[1:])
    outer = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "elsewhere",
        "resources": [str(here)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(outer))
    moved, said = build(tmp_path)
    assert said == ""
    assert [each["kind"] for each in moved] == [each["kind"] for each in objects(overlay)]
    assert one(moved, "Namespace")["metadata"]["name"] == "elsewhere"
    assert {each["metadata"]["namespace"] for each in moved if each["kind"] != "Namespace"} == {"elsewhere"}


@each_overlay
def test_the_drain_fits_into_the_grace_period(overlay):
    budget = read_budget(rollout(overlay))
    assert budget.engine_drain_s is not None
    assert budget.engine_drain_s > 0
    assert budget.pre_stop_s + budget.engine_drain_s < budget.grace_s


@each_overlay
def test_a_stream_of_the_default_length_lives_through_a_promotion(overlay):
    total_s = read_budget(rollout(overlay)).total_s
    assert total_s is not None
    # An engine that shares its card or node makes its tokens more slowly.
    assert total_s > ROLLOUT_STREAM_SECONDS * 1.25


@each_overlay
def test_the_delays_are_told_and_end(overlay):
    budget = read_budget(rollout(overlay))
    assert (
        budget.scale_down_delay_s
        == rollout(overlay)["spec"]["strategy"]["blueGreen"]["scaleDownDelaySeconds"]
    )
    assert budget.pre_stop_s == container(rollout(overlay))["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


@each_overlay
def test_the_comment_has_the_sum(overlay):
    folder = OVERLAYS[overlay]
    text = (folder / ("rollout.yaml" if overlay == "base" else "rollout-patch.yaml")).read_text()
    comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    (told,) = re.findall(r"= (\d+) s\b", comment)
    assert int(told) == read_budget(rollout(overlay)).total_s


@each_overlay
def test_a_start_may_take_its_budget_before_the_deadline(overlay):
    probe = container(rollout(overlay))["startupProbe"]
    budget_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert rollout(overlay)["spec"]["progressDeadlineSeconds"] > budget_s


@each_overlay
def test_every_variable_in_the_command_line_is_set(overlay):
    vllm = container(rollout(overlay))
    used = set(re.findall(r"\$\((\w+)\)", " ".join([*vllm["command"], *vllm["args"]])))
    assert used == {"MODEL", "REVISION", "PUBLIC_MODEL"}
    assert used <= {entry["name"] for entry in vllm["env"]}


@each_overlay
def test_it_answers_to_the_same_name(overlay):
    words = container(rollout(overlay))["args"]
    names = words[words.index("--served-model-name") + 1 :]
    assert names[:2] == ["$(REVISION)", "$(PUBLIC_MODEL)"]
    variables = {entry["name"]: entry.get("value") for entry in container(rollout(overlay))["env"]}
    assert variables["PUBLIC_MODEL"] == "llm"


@each_overlay
def test_every_volume_that_is_mounted_is_there(overlay):
    mounted = {mount["name"] for mount in container(rollout(overlay)).get("volumeMounts", ())}
    assert mounted == {volume["name"] for volume in pod(overlay).get("volumes", ())}


class Card(NamedTuple):
    """GiB, as docs/ClusterSetup.md has them: an RTX 2070 by CUDA, then what one engine takes of it."""

    total: float = 7.78
    context: float = 0.30
    weights: float = 0.92
    working: float = 0.60


KV_BYTES_PER_TOKEN = 2 * 24 * 2 * 64 * 2  # keys and values, layers, heads, their size, bytes each


def test_two_engines_fit_on_the_card():
    card, share = Card(), float(option(rollout("gpu"), "gpu-memory-utilization"))
    one_engine = share * card.total + card.context
    assert 2 * one_engine < card.total
    # What vLLM asks at the start of the second: is my share free, with my own context already there?
    assert card.total - one_engine - card.context >= share * card.total


def test_an_engine_holds_streams_enough_for_a_verdict():
    card, share = Card(), float(option(rollout("gpu"), "gpu-memory-utilization"))
    cache = share * card.total - card.weights - card.working
    longest = int(option(rollout("gpu"), "max-model-len"))
    assert cache * 2**30 / KV_BYTES_PER_TOKEN / longest >= 59
    assert int(option(rollout("gpu"), "max-num-seqs")) >= 80


def test_the_page_tells_the_share_that_the_overlay_has():
    page = (ROOT / "docs" / "ClusterSetup.md").read_text()
    for name in ("gpu-memory-utilization", "max-model-len", "max-num-seqs"):
        assert f"--{name}={option(rollout('gpu'), name)}" in page


def test_both_revisions_on_the_card_have_one_model_cache():
    claim = one(objects("gpu"), "PersistentVolumeClaim")
    (cache,) = (volume for volume in pod("gpu")["volumes"] if volume["name"] == "model-cache")
    assert cache["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_card_has_no_bfloat16():
    assert option(rollout("gpu"), "dtype") == "half"


def test_an_engine_without_streams_leaves_the_card_sooner_than_with_base():
    gpu, base = (read_budget(rollout(overlay)).until_sigterm_s for overlay in ("gpu", "base"))
    assert gpu is not None
    assert base is not None
    assert gpu < base / 2


def test_sim_needs_no_gpu_and_no_model():
    text = yaml.safe_dump(rollout("sim"))
    assert not re.search(r"nvidia|shm|HF_|model-cache", text)


def test_sim_is_the_bundled_engine_in_the_projects_image():
    vllm = container(rollout("sim"))
    assert vllm["command"] == ["python", "-m", "midstream.rehearsal.engine"]
    assert (vllm["image"], vllm["imagePullPolicy"]) == ("midstream:local", "IfNotPresent")


@pytest.mark.parametrize("overlay", ["gpu", "sim"])
def test_it_is_reached_at_ports_that_the_cluster_chooses(overlay):
    services = [each["spec"] for each in objects(overlay) if each["kind"] == "Service"]
    assert [spec["type"] for spec in services] == ["NodePort", "NodePort"]
    assert all("nodePort" not in port for spec in services for port in spec["ports"])


def test_sim_has_no_right_that_it_does_not_need():
    assert pod("sim")["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(rollout("sim"))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod("sim")["automountServiceAccountToken"] is False


def test_the_secret_that_sim_shows_can_be_switched_on(tmp_path):
    """The commented patch, uncommented, must build."""
    text = (OVERLAYS["sim"] / "kustomization.yaml").read_text()
    shown = (
        text[text.index("  # - target:") :].replace("\n  # ", "\n  ").replace("  # - target", "  - target", 1)
    )
    for folder in ("base", "overlays/sim"):
        (tmp_path / folder).mkdir(parents=True)
        for path in (ROOT / "k8s" / folder).glob("*.yaml"):
            (tmp_path / folder / path.name).write_text(path.read_text())
    kustomization = tmp_path / "overlays" / "sim" / "kustomization.yaml"
    kustomization.write_text(text[: text.index("  # - target:")] + shown)
    built, _ = build(kustomization.parent)
    spec = one(built, "Rollout")["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "pull-secret"}]
    assert [fault for each in built for fault in faults(each)] == []
