"""How many tokens a stream asks for."""

import pytest

from midstream.lengths import MIN_TOKENS, Pace, prompt_bound, tokens_for, tokens_per_s
from midstream.streams.ending import Ending
from tests.midstream.builders import stream

S = 1_000_000_000


def paced(rate: float, ending: Ending = Ending.COMPLETE):
    return stream(ending, first_token_ns=10 * S, last_token_ns=10 * S + round(99 / rate * S), tokens=100)


def test_tokens_per_s_is_the_inverse_of_tpot():
    assert tokens_per_s(paced(20)) == pytest.approx(20)
    assert tokens_per_s(stream(Ending.COMPLETE, tokens=1)) is None


def test_the_pace_follows_complete_streams_only():
    pace = Pace(100.0)
    for _ in range(3):
        pace.learn(paced(20))
        pace.learn(paced(1, Ending.STALLED))
    assert pace.tokens_per_s == pytest.approx(20)


@pytest.mark.parametrize(("seconds", "tokens"), [(60, 1200), (0.01, MIN_TOKENS)])
def test_tokens_for_a_time(seconds, tokens):
    assert tokens_for(seconds, 20.0) == tokens


def test_bytes_bound_a_prompt():
    assert prompt_bound("x" * 100) == 100 + 64
    assert prompt_bound("ä" * 100) == 200 + 64
