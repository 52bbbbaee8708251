import json
from collections import Counter
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.streams.gaps import bucket_of
from midstream.streams.openai import read_chunk
from midstream.streams.record import TokenSource
from midstream.streams.tally import CHOICES_KEPT, Silences, Tally
from midstream.streams.traits import Traits, UsageShown
from tests.midstream.streams import wire
from tests.midstream.streams.streams import PLAIN, VLLM


def tally_of(events, traits=VLLM, asked=None) -> Tally:
    tally = Tally(traits, asked)
    for number, event in enumerate(events, 1):
        tally.add(read_chunk(json.dumps(event).encode()), number * 10, number * 10)
    return tally


def delta(content: str = "", usage: int | None = None, **more) -> dict[str, Any]:
    event: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": content, **more}}]}
    return event if usage is None else event | {"usage": {"completion_tokens": usage}}


COUNTS = {
    "ids": (wire.tokens(3), (3, TokenSource.IDS, 3)),
    "two ids in an event": ([wire.token(2, ids=[1, 2])], (2, TokenSource.IDS, 2)),
    "ids before usage": ([wire.token(1, usage=9)], (1, TokenSource.IDS, 1)),
    "usage on every event": ([delta("a", 1), delta("b", 3)], (3, TokenSource.USAGE, 3)),
    "closing usage": ([delta("a"), delta("b"), wire.closing(7)], (7, TokenSource.USAGE, 7)),
    "closing usage beside a bare choice": (
        [delta("a"), {"choices": [{"index": 0}], "usage": {"completion_tokens": 7}}],
        (7, TokenSource.USAGE, 7),
    ),
    "events": ([delta("", role="assistant"), delta("a"), delta(""), delta("b")], (2, TokenSource.EVENTS, 2)),
    "nothing": ([], (0, TokenSource.EVENTS, 0)),
    "usage of 0 is no count": ([wire.closing(0)], (0, TokenSource.EVENTS, 0)),
}


@pytest.mark.parametrize(("events", "counted"), COUNTS.values(), ids=COUNTS)
def test_tokens_are_counted_by_the_best_there_is(events, counted):
    assert tally_of(events).tokens() == counted


def test_usage_of_several_choices_counts_each_for_itself():
    events = [
        {"choices": [{"index": i, "text": "x"}], "usage": {"completion_tokens": n}}
        for i, n in [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2)]
    ]
    tally = tally_of([*events, wire.closing(5)])
    assert tally.tokens() == (5, TokenSource.USAGE, 2)
    assert tally.signs(True).repeated == ""


def test_the_choice_with_fewest_tokens_is_known():
    events = [
        {"choices": [{"index": i, "text": "x", "token_ids": ids}]} for i, ids in [(0, [1, 2]), (1, [3])]
    ]
    assert tally_of(events).tokens() == (3, TokenSource.IDS, 1)


FIRST_TOKEN = {
    "text": ([delta("a")], 10),
    "a role is none": ([delta("", role="assistant"), delta("a")], 20),
    "an id without text": ([wire.token(1, text="")], 10),
    "usage without text": ([delta("", 0), delta("", 1)], 20),
    "reasoning": ([delta("", reasoning="hm")], 10),
    "tool call": ([delta("", tool_calls=[{"index": 0}])], 10),
    "closing usage is none": ([wire.closing(3)], None),
    "an abort without ids is none": ([wire.token(1, ids=[], usage=0, text="", finish="abort")], None),
}


@pytest.mark.parametrize(("events", "at_ns"), FIRST_TOKEN.values(), ids=FIRST_TOKEN)
def test_first_token(events, at_ns):
    assert tally_of(events).first_token_ns == at_ns


def test_usage_that_comes_only_at_the_end_dates_no_token():
    finish = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 2},
    }
    events = [delta("a"), delta("b"), finish]  # llama.cpp (facts 2)
    tally = tally_of(events, Traits(usage=UsageShown.AT_END))
    assert (tally.last_token_ns, tally.tokens()[0]) == (20, 2)


REPEATS = {
    "doubled ids": (VLLM, [wire.token(1), wire.token(1)], "2 token ids came where usage counts 1"),
    "out of order": (
        VLLM,
        [wire.token(2, ids=[1, 2]), wire.token(1, ids=[])],
        "usage fell from 2 to 1 tokens",
    ),
    "too many": (VLLM, wire.tokens(5), "5 token ids came where 4 were asked"),
    "usage falls where it is not shown to rise": (PLAIN, [delta("a", 2), delta("b", 1)], ""),
    "ids of a server that shows no usage": (
        Traits(token_ids=True),
        [wire.token(1), wire.token(1)],
        "",
    ),
    "in order": (VLLM, wire.tokens(4), ""),
}


@pytest.mark.parametrize(("traits", "events", "words"), REPEATS.values(), ids=REPEATS)
def test_repetition_is_told_only_where_it_is_proven(traits, events, words):
    assert tally_of(events, traits, asked=4).signs(True).repeated == words


def test_labels_in_the_order_they_were_seen():
    tally = tally_of([wire.token(1), wire.token(2, model="rev-b"), wire.token(3), {"model": ""}])
    assert tally.signs(True).labels == ("rev-a", "rev-b")
    assert tally.label == "rev-a"


def test_one_late_read_does_not_hide_the_certain_gaps():
    silences = Silences()
    silences.begin(100, 100)
    for at_ns in (110, 130, 160):
        silences.add(at_ns, at_ns)
    for _ in range(5):
        silences.add(160, 900)  # five events in one late read
    silences.add(900, 900)
    gaps = [(gap.start_ns, gap.end_ns, gap.certain) for gap in silences.longest()]
    assert gaps == [(160, 900, False), (130, 160, True), (110, 130, True)]
    assert sum(silences.counts.values()) == 3


@given(st.lists(st.integers(1, 10**10), max_size=300))
def test_every_certain_gap_is_counted_and_the_longest_are_kept(lengths):
    silences = Silences()
    silences.begin(0, 0)
    for at_ns in accumulate(lengths):
        silences.add(at_ns, at_ns)
    assert silences.counts == Counter(map(bucket_of, lengths))
    assert [gap.end_ns - gap.start_ns for gap in silences.longest()] == sorted(lengths, reverse=True)[:3]


def test_what_a_server_calls_things_stays_small():
    """A record outlives its stream, so no word of a server may fill memory."""
    tally = Tally(Traits(), None)
    for number in range(1, 1001):
        event = wire.token(number, model=f"{number}" + "m" * 10_000, finish="f" * 10_000)
        tally.add(read_chunk(json.dumps(event).encode()), number, number)
    signs = tally.signs(framed=True)
    assert 1 < len(signs.labels) <= 16
    assert all(len(words) <= 256 for words in (*signs.labels, signs.finish_reason or "", tally.label))


def test_endless_new_choices_do_not_fill_memory():
    tally = Tally(VLLM, None)
    for number in range(10 * CHOICES_KEPT):
        tally.add(read_chunk(b'{"choices": [{"index": %d, "text": "x", "token_ids": [1]}]}' % number), 1, 1)
    assert len(tally._choices) <= CHOICES_KEPT + 1
    assert tally.tokens()[0] == 10 * CHOICES_KEPT
