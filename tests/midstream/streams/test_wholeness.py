from typing import Any

import pytest

from midstream.streams.ending import Ending
from midstream.streams.record import TokenSource
from midstream.streams.traits import Signs, Traits
from midstream.streams.wholeness import ending_of_body, proven_damage, server_verdict
from tests.midstream.streams.streams import PLAIN, VLLM

GOOD: dict[str, Any] = {
    "framed": True,
    "done": True,
    "finish_reasons": ("length",),
    "labels": ("rev-a",),
    "tokens": 4,
    "fewest": 4,
    "ids": 4,
    "token_source": TokenSource.IDS,
}
DAMAGES: list[tuple[dict[str, Any], Ending]] = [
    ({"error": "dead"}, Ending.ERROR_EVENT),
    ({"finish_reasons": ("error",)}, Ending.ERROR_EVENT),
    ({"finish_reasons": ("abort",)}, Ending.ABORTED),
    ({"labels": ("rev-a", "rev-b")}, Ending.MIXED_REVISION),
    ({"repeated": "usage fell"}, Ending.REPEATED),
    ({"finish_reasons": (None,)}, Ending.ENDED_EARLY),
    ({"done": False}, Ending.NO_DONE),
    ({"tokens": 3, "fewest": 3, "ids": 3}, Ending.SHORT),
]


def ending(traits: Traits = VLLM, **changes) -> Ending:
    return ending_of_body(Signs(**(GOOD | changes)), traits, tokens=4, contract=True)[0]


def test_whole():
    assert ending() is Ending.COMPLETE


@pytest.mark.parametrize(("changes", "expected"), DAMAGES, ids=[row[1] for row in DAMAGES])
def test_each_damage_has_its_ending(changes, expected):
    assert ending(**changes) is expected


@pytest.mark.parametrize(("worse", "expected"), DAMAGES, ids=[row[1] for row in DAMAGES])
@pytest.mark.parametrize("bad", [row[0] for row in DAMAGES], ids=[row[1] for row in DAMAGES])
def test_of_two_damages_the_first_of_the_table_is_named(bad, worse, expected):
    both = ending(**(bad | worse))
    assert both is not Ending.COMPLETE
    order = [row[1] for row in DAMAGES]
    assert order.index(both) <= order.index(expected)


UNKNOWN_FINISHES = ["stop", "tool_calls", "content_filter", "function_call", "eos_token", "something_new"]


@pytest.mark.parametrize("reason", UNKNOWN_FINISHES)
def test_any_finish_but_abort_and_error_is_one(reason):
    assert ending(PLAIN, finish_reasons=(reason,)) is Ending.COMPLETE


def test_both_choices_must_finish():
    assert ending(finish_reasons=("length", None)) is Ending.ENDED_EARLY
    assert ending(finish_reasons=("length", "abort")) is Ending.ABORTED


def test_all_ids_outweigh_a_stop_but_a_count_of_usage_does_not():
    assert ending(finish_reasons=("stop",)) is Ending.COMPLETE
    by_usage: dict[str, Any] = {"ids": 0, "token_source": TokenSource.USAGE}
    assert ending(finish_reasons=("stop",), **by_usage) is Ending.SHORT
    assert ending(finish_reasons=("length",), **by_usage) is Ending.COMPLETE


def test_what_the_server_wrote_and_what_is_proven_are_told_apart():
    signs = Signs(**(GOOD | {"error": "dead", "repeated": "usage fell"}))
    assert server_verdict(signs) == (Ending.ERROR_EVENT, "dead")
    assert proven_damage(signs, VLLM) == (Ending.REPEATED, "usage fell")
    assert server_verdict(Signs(**GOOD)) is None
    assert proven_damage(Signs(**GOOD), VLLM) is None
