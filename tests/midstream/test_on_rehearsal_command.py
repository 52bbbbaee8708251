"""What COMMAND is given in the place of the user's cluster, and what is refused."""

import pytest

from midstream.on_rehearsal_command import environment, main
from midstream.rehearsal.launch import Announcement

ANNOUNCEMENT = Announcement(
    kubeconfig="/state/kubeconfig",
    namespace="llm-serving",
    rollout="vllm",
    stable_service="vllm-stable",
    preview_service="vllm-preview",
    stable_url="http://127.1.2.3:8000",
    preview_url="http://127.1.2.4:8000",
)


def test_the_rehearsal_takes_the_place_of_every_target_of_the_user() -> None:
    given = {
        "PATH": "/bin",
        "KUBECONFIG": "/home/me/.kube/config",
        "NAMESPACE": "prod",
        "ROLLOUT": "mine",
        "CONTEXT": "prod",
        "TARGET_HOST": "http://prod",
        "MIDSTREAM_PREVIEW_HOST": "http://preview.prod",
        "MIDSTREAM_STREAM_SECONDS": "6",
        "MAX_ERROR_RATE": "1%",
    }
    assert environment(given, ANNOUNCEMENT) == {
        "PATH": "/bin",
        "KUBECONFIG": "/state/kubeconfig",
        "NAMESPACE": "llm-serving",
        "ROLLOUT": "vllm",
        "ON_REHEARSAL": "http://127.1.2.3:8000",
        "MIDSTREAM_STREAM_SECONDS": "6",
        "MAX_ERROR_RATE": "1%",
    }


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        pytest.param([], 2, "usage:", id="nothing"),
        pytest.param(["-h"], 0, "usage:", id="help"),
        pytest.param(["up", "fast"], 2, "leave 'fast' out", id="one word too many"),
    ],
)
def test_what_it_says_without_a_rehearsal(argv, code, said, capsys) -> None:
    assert main(argv) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


def test_down_twice_has_nothing_to_do(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("REHEARSAL_DIR", str(tmp_path / "none"))
    assert main(["down"]) == main(["down"]) == 0
    assert capsys.readouterr().out == "No rehearsal is up.\n" * 2
