from typing import Any

import pytest

from midstream.streams.ending import Ending
from midstream.streams.record import TokenSource
from midstream.streams.traits import (
    NO_SIGN,
    OPTIONAL_FIELDS,
    Signs,
    Traits,
    TraitsUnknownError,
    UsageShown,
    field_to_drop,
    traits_of,
)

ALL = frozenset(OPTIONAL_FIELDS)
WHOLE: dict[str, Any] = {
    "framed": True,
    "done": True,
    "finish_reasons": ("length",),
    "labels": ("rev-a",),
    "tokens": 16,
    "fewest": 16,
    "ids": 16,
    "token_source": TokenSource.IDS,
    "usage_events": 17,
    "usage_before_end": 15,
}


def signs(**changes) -> Signs:
    return Signs(**(WHOLE | changes))


def learnt(**changes) -> Traits:
    return traits_of(signs(**changes), Ending.COMPLETE, ALL)


def test_vllm_shows_everything():
    traits = learnt()
    assert traits == Traits(
        done=True,
        finish_reason=True,
        usage=UsageShown.CONTINUOUS,
        token_ids=True,
        honours_length=True,
        stop_is_early=True,
        one_label=True,
    )
    assert traits.missing == ()


PARTS = {
    "no [DONE]": ({"done": False}, "done", False),
    "no finish_reason": ({"finish_reasons": (None,)}, "finish_reason", False),
    "no ids": ({"ids": 0, "token_source": TokenSource.USAGE}, "token_ids", False),
    "no usage": ({"usage_events": 0, "usage_before_end": 0}, "usage", UsageShown.NONE),
    "usage at the end": ({"usage_events": 1, "usage_before_end": 0}, "usage", UsageShown.AT_END),
    "usage that does not rise is no demand": ({"usage_fell": True}, "usage", UsageShown.AT_END),
    "stops early": ({"tokens": 9, "fewest": 9, "finish_reasons": ("stop",)}, "honours_length", False),
    "makes more than asked": ({"tokens": 20, "fewest": 20}, "honours_length", False),
    "uncounted, but length": (
        {"token_source": TokenSource.EVENTS, "ids": 0, "tokens": 5, "fewest": 5, "usage_events": 0},
        "honours_length",
        True,
    ),
    "uncounted, stop": (
        {"token_source": TokenSource.EVENTS, "ids": 0, "finish_reasons": ("stop",)},
        "honours_length",
        False,
    ),
    "says stop for a full length": ({"finish_reasons": ("stop",)}, "stop_is_early", False),
    "labels that change": ({"labels": ("a", "b")}, "one_label", False),
    "no label": ({"labels": ()}, "one_label", False),
}


@pytest.mark.parametrize(("changes", "field", "value"), PARTS.values(), ids=PARTS)
def test_what_is_not_shown_is_not_learnt(changes, field, value):
    assert getattr(learnt(**changes), field) == value


def test_what_is_missing_is_listed_in_words():
    traits = traits_of(signs(done=False, ids=0), Ending.COMPLETE, ALL - {"min_tokens"})
    assert traits.missing == ("[DONE]", "token ids", "min_tokens (400)")


def test_a_count_alone_is_a_sign():
    assert learnt(done=False, finish_reasons=(None,)).honours_length


NO_TRAITS = {
    "cut": (signs(framed=False), Ending.TRUNCATED),
    "aborted": (signs(), Ending.ABORTED),
    "error event": (signs(error="x"), Ending.ERROR_EVENT),
    "no sign at all": (
        signs(done=False, finish_reasons=(None,), token_source=TokenSource.EVENTS),
        Ending.COMPLETE,
    ),
    "fewer than asked and nothing else": (signs(done=False, finish_reasons=(), fewest=15), Ending.COMPLETE),
}


@pytest.mark.parametrize(("shown", "ending"), NO_TRAITS.values(), ids=NO_TRAITS)
def test_only_a_whole_stream_teaches(shown, ending):
    with pytest.raises(TraitsUnknownError, match=NO_SIGN):
        traits_of(shown, ending, ALL)


DROPS = {
    "named": (ALL, "Unrecognized argument: ignore_eos", "ignore_eos"),
    "several named": (ALL, "min_tokens, return_token_ids: extra", "return_token_ids"),
    "stream_options": (ALL, "stream_options is unknown", "continuous_usage_stats"),
    "stream_options again": (ALL - {"continuous_usage_stats"}, "stream_options is unknown", "include_usage"),
    "unnamed": (ALL, "bad request", "return_token_ids"),
    "unnamed again": (ALL - {"return_token_ids"}, "bad request", "continuous_usage_stats"),
    "a name already gone": (ALL - {"return_token_ids"}, "return_token_ids", "continuous_usage_stats"),
    "nothing left": (frozenset(), "bad request", None),
}


@pytest.mark.parametrize(("optional", "error", "field"), DROPS.values(), ids=DROPS)
def test_field_to_drop_after_a_400(optional, error, field):
    assert field_to_drop(frozenset(optional), error) == field


def test_the_worst_of_several_finish_reasons_decides():
    assert signs(finish_reasons=("length", "abort")).finish_reason == "abort"
    assert signs(finish_reasons=("length", None)).finish_reason == "length"
    assert not signs(finish_reasons=("length", None)).finished
    assert signs(finish_reasons=()).finish_reason is None
