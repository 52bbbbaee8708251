import json

from midstream.streams.request import payload_of
from midstream.streams.traits import OPTIONAL_FIELDS, Traits
from tests.midstream.streams.streams import request


def payload(optional=frozenset(OPTIONAL_FIELDS), **changes):
    return json.loads(payload_of(request(**changes), Traits(optional=frozenset(optional))))


def test_full_length_contract():
    assert payload(tokens=9) == {
        "model": "m",
        "prompt": "Say x.",
        "max_tokens": 9,
        "stream": True,
        "min_tokens": 9,
        "ignore_eos": True,
        "temperature": 0,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "return_token_ids": True,
    }


def test_chat_wraps_the_prompt():
    fields = payload(api="chat")
    assert fields["messages"] == [{"role": "user", "content": "Say x."}]
    assert "prompt" not in fields


def test_what_a_server_refuses_is_left_out():
    assert payload(optional=[]) == {"model": "m", "prompt": "Say x.", "max_tokens": 4, "stream": True}
    assert payload(optional=["include_usage"])["stream_options"] == {"include_usage": True}
    assert "stream_options" not in payload(optional=["continuous_usage_stats"])


def test_without_a_contract_the_model_may_end_as_it_likes():
    fields = payload(contract=False)
    assert not {"min_tokens", "ignore_eos", "temperature"} & fields.keys()
    assert fields["return_token_ids"] is True
