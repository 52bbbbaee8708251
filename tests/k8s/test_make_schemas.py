import pytest

from tests.k8s.make_schemas import strict

CASES = {
    "words and marks go": (
        {"type": "integer", "format": "int32", "description": "how many", "x-kubernetes-map-type": "atomic"},
        {"type": "integer"},
    ),
    "a property called like a mark stays": (
        {"properties": {"default": {"type": "string"}, "description": {"type": "string"}}},
        {
            "properties": {"default": {"type": "string"}, "description": {"type": "string"}},
            "additionalProperties": False,
        },
    ),
    "what a cluster writes goes": (
        {"properties": {"spec": {"type": "object"}, "status": {"type": "object"}}},
        {"properties": {"spec": {"type": "object"}}, "additionalProperties": False},
    ),
    "a map of strings stays one": (
        {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    "what is published as open stays open": (
        {"properties": {}, "x-kubernetes-preserve-unknown-fields": True},
        {"properties": {}},
    ),
    "references lead into the file": (
        {"allOf": [{"$ref": "#/components/schemas/io.k8s.Some"}]},
        {"allOf": [{"$ref": "#/$defs/io.k8s.Some"}]},
    ),
}


@pytest.mark.parametrize(("published", "wanted"), CASES.values(), ids=CASES)
def test_a_schema_becomes_strict(published, wanted):
    assert strict(published) == wanted
