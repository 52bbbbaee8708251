"""Every edit touches exactly what it names, or says why it does not."""

import pytest

from midstream.rollouts import edits
from midstream.rollouts.edits import RefusedError
from tests.midstream.rollouts.objects import HASH, NEW, OLD, THIRD, replica_set, rollout, template, with_hash

PATH = "/spec/template/spec/containers/0"


def with_container(**container):
    return rollout(spec={"template": template("vllm/vllm-openai:v1", **container)})


def add(field, value):
    return [{"op": "add", "path": f"{PATH}/{field}", "value": value}]


REFERENCE = {"workloadRef": {"kind": "Deployment", "name": "vllm"}, "template": None}


def test_set_image_changes_only_containers_that_differ():
    assert edits.set_image(rollout(), {"vllm": "vllm/vllm-openai:v2"}) == add("image", "vllm/vllm-openai:v2")
    assert edits.set_image(rollout(), {"vllm": "vllm/vllm-openai:v1"}) == []


@pytest.mark.parametrize(
    ("env", "variables", "expected"),
    [
        pytest.param(None, {"A": "1"}, [{"name": "A", "value": "1"}], id="no env before"),
        pytest.param(
            [{"name": "A", "value": "0"}, {"name": "B", "valueFrom": {}}],
            {"A": "1", "C": "2"},
            [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}, {"name": "C", "value": "2"}],
            id="changed in place, added at the end, others kept",
        ),
    ],
)
def test_set_env(env, variables, expected):
    changes = {} if env is None else {"env": env}
    assert edits.set_env(with_container(**changes), variables) == add("env", expected)


def test_set_env_that_changes_nothing_is_no_operation():
    assert edits.set_env(with_container(env=[{"name": "A", "value": "1"}]), {"A": "1"}) == []


def test_set_args_replaces_all_of_them():
    assert edits.set_args(with_container(args=["--a"]), ["--b", "1"]) == add("args", ["--b", "1"])
    assert edits.set_args(with_container(args=["--a"]), ["--a"]) == []


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(
            {"env": [{"name": "MODEL", "value": "old"}], "command": ["vllm", "serve", "old"]},
            add("env", [{"name": "MODEL", "value": "new"}]),
            id="env MODEL comes first",
        ),
        pytest.param(
            {"command": ["vllm", "serve", "old", "--port", "1"]},
            add("command", ["vllm", "serve", "new", "--port", "1"]),
            id="serve NAME",
        ),
        pytest.param(
            {"command": ["vllm"], "args": ["serve", "old"]},
            add("args", ["serve", "new"]),
            id="serve NAME in args",
        ),
        pytest.param(
            {"command": ["server"], "args": ["--model", "old"]},
            add("args", ["--model", "new"]),
            id="--model NAME",
        ),
        pytest.param(
            {"command": ["server"], "args": ["--model=old"]}, add("args", ["--model=new"]), id="--model=NAME"
        ),
        pytest.param(
            {"command": ["sh", "-c", "exec vllm serve 'old' --port 1"]},
            None,
            id="a quoted name in a shell string is left alone",
        ),
        pytest.param(
            {"command": ["sh", "-c", "exec vllm serve old --port 1"]},
            add("command", ["sh", "-c", "exec vllm serve new --port 1"]),
            id="shell string",
        ),
        pytest.param(
            {"command": ["sh", "-c", "vllm serve $NAME"]}, None, id="a name behind a variable is left alone"
        ),
        pytest.param({"command": ["vllm", "serve", "--port", "1"]}, None, id="serve without a name"),
        pytest.param({"command": ["vllm", "serve", "new"]}, [], id="that model already"),
    ],
)
def test_set_model(container, expected):
    changed = with_container(**container)
    if expected is None:
        with pytest.raises(RefusedError, match="neither env MODEL nor a model"):
            edits.set_model(changed, "new")
    else:
        assert edits.set_model(changed, "new") == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param(
            None,
            {"path": "/spec/template/metadata", "value": {"annotations": {"midstream/run": "7"}}},
            id="no metadata",
        ),
        pytest.param(
            {"labels": {}},
            {"path": "/spec/template/metadata/annotations", "value": {"midstream/run": "7"}},
            id="no annotations",
        ),
        pytest.param(
            {"annotations": {"a": "b"}},
            {"path": "/spec/template/metadata/annotations/midstream~1run", "value": "7"},
            id="beside others",
        ),
    ],
)
def test_same(metadata, expected):
    changed = rollout()
    changed["spec"]["template"] = {"metadata": metadata, "spec": {}} if metadata else {"spec": {}}
    assert edits.same(changed, "7") == [{"op": "add", **expected}]


def test_undo_takes_the_newest_earlier_template_without_its_hash():
    first = with_hash(template("vllm/vllm-openai:v0"), THIRD)
    second = with_hash(template("vllm/vllm-openai:v1"), OLD)
    sets = [
        replica_set(NEW, 3, number=3),
        replica_set(THIRD, 1, number=1, spec={"template": first}),
        replica_set(OLD, 2, number=2, spec={"template": second}),
        replica_set("foreign", 4, number=9, metadata={"ownerReferences": []}),
    ]
    changed = rollout(spec={"template": template("vllm/vllm-openai:v2")})
    [operation] = edits.undo(changed, sets)
    assert operation == {"op": "replace", "path": "/spec/template", "value": template("vllm/vllm-openai:v1")}
    [to_first] = edits.undo(changed, sets, revision=1)
    assert to_first["value"] == template("vllm/vllm-openai:v0")
    assert HASH in second["metadata"]["labels"]  # what was read is not changed


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(
            lambda: edits.set_image(rollout(), {"x": "y"}), "no container x", id="no such container"
        ),
        pytest.param(
            lambda: edits.set_env(with_container(env=[{"name": "A", "valueFrom": {}}]), {"A": "1"}),
            "valueFrom",
            id="a value from elsewhere",
        ),
        pytest.param(lambda: edits.undo(rollout(), []), "no ReplicaSet of an earlier", id="nothing to undo"),
        pytest.param(
            lambda: edits.undo(rollout(), [replica_set(OLD, 1)], revision=7), "revision 7", id="no revision 7"
        ),
        pytest.param(
            lambda: edits.set_image(rollout(spec=REFERENCE), {"vllm": "y"}),
            "Deployment vllm",
            id="workloadRef",
        ),
        pytest.param(
            lambda: edits.same(rollout(spec=REFERENCE), "1"), "Deployment vllm", id="same, workloadRef"
        ),
    ],
)
def test_refused(edit, words):
    with pytest.raises(RefusedError, match=words):
        edit()


def test_guarded_by_the_version_that_was_read():
    first, second = edits.guarded(rollout(version=41), add("image", "x"))
    assert first == {"op": "test", "path": "/metadata/resourceVersion", "value": "41"}
    assert second["op"] == "add"


RESTARTS = {
    "never before": ({}, {}, None),
    "one that is over": ({"restartAt": "t1"}, {"restartedAt": "t1"}, None),
    "the first under way": ({"restartAt": "t1"}, {}, "made before t1"),
    "another under way": ({"restartAt": "t2"}, {"restartedAt": "t1"}, "made before t2"),
}


@pytest.mark.parametrize(("spec", "status", "refused"), RESTARTS.values(), ids=RESTARTS)
def test_restart(spec, status, refused):
    found = rollout(spec=spec, status=status)
    if refused is None:
        assert edits.restart(found, "t3") == {"spec": {"restartAt": "t3"}}
        return
    with pytest.raises(RefusedError, match=refused):
        edits.restart(found, "t3")
