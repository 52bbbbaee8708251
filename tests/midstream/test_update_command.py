"""The update command on a rehearsal: up to the preview, the promotion, the way back, what is refused."""

import sys

import pytest

from midstream import update_command
from midstream.rollouts.client import Cluster
from midstream.rollouts.edits import MODEL_VARIABLE
from midstream.rollouts.patience import PATIENCE, Patience
from midstream.rollouts.unready import Hold
from midstream.rollouts.verbs import RolloutVerbs
from midstream.status_command import main as status
from midstream.update_command import main
from tests.midstream.rehearsing import rehearsing

V2 = ["--set-image", "vllm=midstream/engine:v2"]


@pytest.fixture(scope="module")
def rollout():
    with rehearsing() as name:
        yield name


def at_rest(rollout):
    assert status(["--rollout", rollout, "--wait", "60"]) == 0


def test_an_update_waits_in_the_preview_until_it_is_promoted(rollout, capsys):
    assert main(["--rollout", rollout, *V2]) == 0
    told = capsys.readouterr().out
    assert "preview: image midstream/engine:v2" in told
    assert f"to promote: python -m midstream update --rollout {rollout} --promote" in told

    assert main(["--rollout", rollout, "--set-image", "vllm=midstream/engine:v1"]) == 2
    assert "an update is under way" in capsys.readouterr().err

    assert main(["--rollout", rollout, "--promote"]) == 0
    told = capsys.readouterr().out
    assert "without load nothing is judged" in told
    assert "stable: image midstream/engine:v2" in told

    at_rest(rollout)
    capsys.readouterr()
    assert main(["--rollout", rollout, *V2]) == 2
    assert "set-image changes nothing" in capsys.readouterr().err


def test_an_image_that_cannot_be_pulled_is_told_and_taken_back(rollout, capsys, monkeypatch):
    monkeypatch.setitem(PATIENCE, Hold.IMAGE, Patience(0, "no such image"))
    at_rest(rollout)
    assert main(["--rollout", rollout, "--set-image", "vllm=nowhere.invalid/x:1"]) == 1
    captured = capsys.readouterr()
    assert "container vllm ErrImagePull" in captured.out
    assert captured.err == "python -m midstream update: no such image\n"

    assert main(["--rollout", rollout, "--undo"]) == 0
    assert "stable: image midstream/engine:v2" in capsys.readouterr().out


def test_ctrl_c_leaves_it_as_it_is_and_says_how(rollout, capsys, monkeypatch):
    at_rest(rollout)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(update_command, "wait_until", interrupted)
        assert main(["--rollout", rollout, "--set-image", "vllm=midstream/engine:v1"]) == 3
    assert "interrupted, the Rollout stays as it is: P" in capsys.readouterr().err  # Progressing or Paused
    assert main(["--rollout", rollout, "--promote"]) == 0  # of what was begun


def test_a_model_by_its_variable_with_a_warning_of_the_tool_that_manages_it(rollout, capsys):
    namespace, _, name = rollout.partition("/")
    at_rest(rollout)
    cluster = Cluster.connect()
    RolloutVerbs(cluster, namespace, name).set_env({MODEL_VARIABLE: "first"})
    helm = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    cluster.merge_patch("rollouts", namespace, name, helm)
    assert main(["--rollout", rollout, "--promote"]) == 0
    at_rest(rollout)
    capsys.readouterr()
    assert main(["--rollout", rollout, "--set-model", "second"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("warning: Helm manages this Rollout")
    assert "model second" in told


WRONG = {
    "nothing to do": ([], "give --set-image"),
    "two updates": ([*V2, "--set-model", "m"], "two updates"),
    "no container": (["--set-image", "midstream/engine:v2"], "write CONTAINER=IMAGE"),
    "undo with another": (["--undo", "--promote"], "--undo goes alone"),
    "no time": (["--promote", "--wait", "0"], "invalid seconds value"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_command_gives_2_before_anything_is_asked(options, words, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        sys.exit(main(["--rollout", "llm/vllm", *options]))  # argparse exits by itself
    assert words in capsys.readouterr().err.splitlines()[-1]
