"""What deploy.sh would apply: the real overlays through the real kustomize, where kubectl is found."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scripts.stage import PROJECT, clean_environment

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
RENDER = """
set -euo pipefail
for part in refusal overlay; do source "$ROOT/scripts/parts/$part.sh"; done
KUBECTL=(kubectl)
need_overlay
render "$1"
"""


def render(folder: Path, root: Path = PROJECT, **chosen: str) -> subprocess.CompletedProcess[str]:
    """Into the folder; deploy.sh has these variables set."""
    folder.mkdir(parents=True)
    given = {"OVERLAY": "sim", "IMAGE": "", "MODEL": "", "NAMESPACE": "llm-serving"} | chosen
    return subprocess.run(
        ["bash", "-c", RENDER, "deploy.sh", str(folder)],
        env=clean_environment() | {"ROOT": str(root), "PYTHON": shutil.which("python3") or ""} | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def objects(file: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


def container(folder: Path) -> dict[str, Any]:
    (rollout,) = objects(folder / "rollout.yaml")
    (found,) = rollout["spec"]["template"]["spec"]["containers"]
    return dict(found)


def model(folder: Path) -> str:
    return str(next(each["value"] for each in container(folder)["env"] if each["name"] == "MODEL"))


@pytest.mark.parametrize("overlay", ["base", "gpu", "sim"])
def test_image_model_and_namespace_are_as_given_whatever_the_overlay_says(overlay, tmp_path) -> None:
    name = 'org/a "model" \\ of 7: yes'
    chosen = {"OVERLAY": overlay, "IMAGE": "reg:5000/a/b@sha256:0", "MODEL": name, "NAMESPACE": "mine"}
    done = render(tmp_path / "out", **chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert container(tmp_path / "out")["image"] == "reg:5000/a/b@sha256:0"
    assert model(tmp_path / "out") == name
    (namespace,) = objects(tmp_path / "out" / "namespace.yaml")
    assert namespace["metadata"]["name"] == "mine"
    rest = objects(tmp_path / "out" / "rest.yaml")
    assert {each["metadata"]["namespace"] for each in rest} == {"mine"}
    assert {"ConfigMap", "Service"} <= {each["kind"] for each in rest}
    assert "wanted" not in {each["metadata"]["name"] for each in rest}


def test_what_is_not_given_is_the_overlay_s(tmp_path) -> None:
    assert render(tmp_path / "out").returncode == 0
    assert container(tmp_path / "out")["image"] == "midstream:local"
    assert model(tmp_path / "out") == "midstream/rehearsal"


@pytest.mark.parametrize("overlay", ["base", "gpu", "sim"])
def test_all_of_it_is_known_as_ours_so_that_down_finds_it(overlay, tmp_path) -> None:
    assert render(tmp_path / "out", OVERLAY=overlay).returncode == 0
    for file in ("namespace", "rest", "rollout"):
        for each in objects(tmp_path / "out" / f"{file}.yaml"):
            labels = each["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "midstream", each["metadata"]["name"]


def test_a_read_only_clone_in_a_path_with_spaces_and_quotes(tmp_path) -> None:
    clone = tmp_path / 'my "clone" of it'
    for name in ("k8s", "scripts"):
        shutil.copytree(PROJECT / name, clone / name)
    before = {file: file.stat().st_mtime_ns for file in clone.rglob("*")}
    done = render(tmp_path / "out put", clone, IMAGE="i:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert container(tmp_path / "out put")["image"] == "i:1"
    assert {file: file.stat().st_mtime_ns for file in clone.rglob("*")} == before


def test_manifests_that_cannot_be_built_are_one_line(tmp_path) -> None:
    shutil.copytree(PROJECT / "k8s" / "overlays", tmp_path / "clone" / "k8s" / "overlays")
    shutil.copytree(PROJECT / "scripts", tmp_path / "clone" / "scripts")
    done = render(tmp_path / "out", tmp_path / "clone")
    assert done.returncode == 2
    assert done.stderr.startswith("deploy.sh: the manifests of OVERLAY=sim cannot be built: ")
    assert done.stderr.count("\n") == 1
