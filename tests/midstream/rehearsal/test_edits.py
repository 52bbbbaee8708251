"""Edits of manifests: where a path leads, and what is said when it leads nowhere."""

import pytest

from midstream.rehearsal.edits import Edit, EditError, edited

ROLLOUT = {
    "kind": "Rollout",
    "metadata": {"name": "vllm", "annotations": {"a/b": "1"}},
    "spec": {
        "containers": [{"name": "side"}, {"name": "vllm", "args": ["serve", "--port=80", "--host", "x"]}]
    },
}
ARGS = "/spec/containers/vllm/args"


def args_after(**edit: object) -> list[str]:
    (changed,) = edited([ROLLOUT], [Edit(object="Rollout/vllm", **edit)])  # type: ignore[arg-type]
    args: list[str] = changed["spec"]["containers"][1]["args"]
    return args


@pytest.mark.parametrize(
    ("edit", "args"),
    [
        pytest.param(
            {"op": "remove", "path": f"{ARGS}/--port"}, ["serve", "--host", "x"], id="argument with a value"
        ),
        pytest.param(
            {"op": "remove", "path": f"{ARGS}/--host"}, ["serve", "--port=80", "x"], id="argument alone"
        ),
        pytest.param({"op": "remove", "path": f"{ARGS}/0"}, ["--port=80", "--host", "x"], id="index"),
        pytest.param(
            {"op": "replace", "path": f"{ARGS}/--port", "value": "--port=1"},
            ["serve", "--port=1", "--host", "x"],
            id="replaced",
        ),
        pytest.param(
            {"op": "add", "path": f"{ARGS}/-", "value": "-v"},
            ["serve", "--port=80", "--host", "x", "-v"],
            id="added at the end",
        ),
        pytest.param(
            {"op": "replace", "path": "/spec/containers/1/args", "value": []}, [], id="a list as a whole"
        ),
    ],
)
def test_an_edit_finds_its_place(edit, args) -> None:
    assert args_after(**edit) == args
    assert ROLLOUT["spec"]["containers"][1]["args"] == ["serve", "--port=80", "--host", "x"]  # type: ignore[index]


def test_a_key_with_a_slash_is_written_as_rfc_6901_says() -> None:
    edit = Edit(object="Rollout/vllm", op="replace", path="/metadata/annotations/a~1b", value="2")
    assert edited([ROLLOUT], [edit])[0]["metadata"]["annotations"] == {"a/b": "2"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(
            {"object": "Service/x", "path": "/a"}, "Service/x is not among Rollout/vllm", id="object"
        ),
        pytest.param({"path": f"{ARGS}/--nope"}, 'no "--nope"', id="argument"),
        pytest.param({"path": "/spec/replicas"}, 'no "replicas"', id="key"),
        pytest.param({"path": "/spec/containers/other/args"}, 'no "other"', id="step on the way"),
    ],
)
def test_an_edit_of_what_is_not_there_says_so(edit, message) -> None:
    with pytest.raises(EditError, match=message):
        edited([ROLLOUT], [Edit(**{"object": "Rollout/vllm", "op": "remove", **edit})])
