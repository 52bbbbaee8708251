"""Merge patch and JSON patch by their RFCs, and that originals stay as they were."""

import copy

import pytest

from midstream.rehearsal.patches import PatchError, json_patched, merged

# RFC 7396, appendix A
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES)
def test_merge_patch(target, patch, result):
    before = copy.deepcopy(target)
    assert merged(target, patch) == result
    assert target == before


def test_merged_object_does_not_alias_the_patch():
    patch: dict[str, dict[str, list[int]]] = {"a": {"b": []}}
    merged({}, patch)["a"]["b"].append(1)
    assert patch == {"a": {"b": []}}


PATCHES = [
    ("add to an object", {}, [{"op": "add", "path": "/a", "value": 1}], {"a": 1}),
    ("add replaces", {"a": 0}, [{"op": "add", "path": "/a", "value": 1}], {"a": 1}),
    ("insert", {"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    ("append", {"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
    ("replace", {"a": {"b": 1}}, [{"op": "replace", "path": "/a/b", "value": 2}], {"a": {"b": 2}}),
    ("replace the whole", {"a": 1}, [{"op": "replace", "path": "", "value": {}}], {}),
    ("replace in a list", {"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 9}], {"a": [9, 2]}),
    ("remove", {"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
    ("remove from a list", {"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
    (
        "escaped",
        {"a/b": {"c~d": 1}},
        [{"op": "replace", "path": "/a~1b/c~0d", "value": 2}],
        {"a/b": {"c~d": 2}},
    ),
    (
        "test that holds",
        {"v": "7", "a": 1},
        [{"op": "test", "path": "/v", "value": "7"}, {"op": "replace", "path": "/a", "value": 2}],
        {"v": "7", "a": 2},
    ),
]


@pytest.mark.parametrize(
    ("target", "patch", "result"), [row[1:] for row in PATCHES], ids=[r[0] for r in PATCHES]
)
def test_json_patch(target, patch, result):
    before = copy.deepcopy(target)
    assert json_patched(target, patch) == result
    assert target == before


REFUSED = {
    "test that fails": [{"op": "test", "path": "/a/0", "value": 9}],
    "later test that fails": [
        {"op": "add", "path": "/b", "value": 1},
        {"op": "test", "path": "/b", "value": 2},
    ],
    "replace of nothing": [{"op": "replace", "path": "/b", "value": 1}],
    "remove of nothing": [{"op": "remove", "path": "/a/7"}],
    "through nothing": [{"op": "add", "path": "/b/c", "value": 1}],
    "through a number": [{"op": "add", "path": "/n/c", "value": 1}],
    "beyond the list": [{"op": "add", "path": "/a/2", "value": 1}],
    "negative index": [{"op": "remove", "path": "/a/-1"}],
    "no pointer": [{"op": "remove", "path": "a"}],
    "unknown operation": [{"op": "move", "from": "/a", "path": "/b"}],
    "no value": [{"op": "add", "path": "/b"}],
    "not a list": {"a": 1},
    "not operations": ["a"],
}


@pytest.mark.parametrize("patch", REFUSED.values(), ids=REFUSED.keys())
def test_json_patch_is_refused_whole(patch):
    target = {"a": [1], "n": 1}
    with pytest.raises(PatchError):
        json_patched(target, patch)
    assert target == {"a": [1], "n": 1}
