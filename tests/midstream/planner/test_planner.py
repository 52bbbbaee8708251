"""The plan of a test: lengths that a budget never shortens, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.arrivals import OpenLoop
from midstream.planner import ImpossiblePlanError
from midstream.planner.demand import Demand
from midstream.planner.wish import open_at_once
from midstream.scenarios import Ask
from tests.midstream.planner.plans import ASK, BUDGET, budget, plan, server, wish

SECONDS = st.floats(min_value=0.1, max_value=900)
PACES = st.floats(min_value=0.5, max_value=500)
BUDGETS = st.builds(
    lambda delay, pre_stop, grace, drain: budget(
        scale_down_delay_s=delay, pre_stop_s=pre_stop, grace_s=grace, engine_drain_s=drain
    ),
    st.none() | st.floats(min_value=1, max_value=600),
    st.floats(min_value=0, max_value=100),
    st.floats(min_value=0, max_value=100),
    st.none() | st.floats(min_value=0, max_value=100),
)

LENGTHS = {
    "seconds at the pace": (wish(), (1200, 60.0)),
    "tokens as they are named": (wish(tokens=300, stream_seconds=None), (300, 15.0)),
    "a scenario's tokens first": (wish(asks=(ASK, Ask(scenario="b", prompt="y", tokens=1600))), (1600, 80.0)),
    "within the context": (wish(stream_seconds=600), (8192 - 100, 404.6)),
}


@pytest.mark.parametrize(("wanted", "length"), LENGTHS.values(), ids=LENGTHS)
def test_the_longest_main_stream(wanted, length):
    main = plan(wanted).main
    assert (main.tokens, main.seconds) == pytest.approx(length)


def test_streams_for_sigterm_live_until_it_with_a_reserve():
    planned = plan()
    assert planned.sigterm is not None
    assert planned.sigterm.seconds == 30 + 2 + 4


@pytest.mark.parametrize(
    ("wanted", "left"),
    [(wish(sigterm_streams=0), BUDGET), (wish(), None), (wish(), budget(scale_down_delay_s=None))],
    ids=["none wanted", "no rollout", "never scaled down"],
)
def test_no_streams_for_sigterm(wanted, left):
    planned = plan(wanted, left=left)
    assert planned.sigterm is None
    assert planned.peak_streams == 80


@given(SECONDS, BUDGETS)
def test_no_budget_shortens_a_stream(seconds, left):
    wanted = wish(stream_seconds=seconds, deadlines=LIMITLESS)
    assert plan(wanted, left=left).main == plan(wanted, left=None).main


@given(SECONDS, SECONDS, PACES)
def test_a_longer_wish_gives_no_shorter_stream(one, other, pace):
    short, long = sorted((one, other))
    told = server(tokens_per_s=pace)
    lengths = [
        plan(wish(stream_seconds=each, deadlines=LIMITLESS), told).main.tokens for each in (short, long)
    ]
    assert lengths[0] <= lengths[1]


LIMITLESS = type(wish().deadlines)(total_s=1e9)

IMPOSSIBLE = {
    "tokens beyond the context": (
        wish(tokens=8093, stream_seconds=None),
        "--tokens 8093: .* 8,192 tokens, which leaves 8,092 behind the prompt of 36 bytes: "
        "type --tokens 8092 or less",
    ),
    "behind the longest prompt": (
        wish(tokens=8000, stream_seconds=None, asks=(ASK, Ask(scenario="b", prompt="y" * 1000, tokens=None))),
        "behind the prompt of 1,000 bytes: type --tokens 7128 or less",
    ),
    "a scenario's tokens": (
        wish(asks=(ASK, Ask(scenario="b", prompt="y", tokens=9000))),
        "scenario b: tokens: 9000: .* type tokens: 8127 or less",
    ),
    "longer than the limit of one stream": (
        wish(stream_seconds=1000, asks=(ASK,)),
        "streams of 1000 s pass the limit of 900 s for one stream: type --total-limit 1500",
    ),
}


@pytest.mark.parametrize(("wanted", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_plan_says_what_to_type(wanted, words):
    told = server(context_tokens=None) if wanted.stream_seconds == 1000 else server()
    with pytest.raises(ImpossiblePlanError, match=words):
        plan(wanted, told)


def test_what_just_fits_is_planned():
    assert plan(wish(tokens=8092, stream_seconds=None)).main.tokens == 8092


def test_a_counted_prompt_leaves_more_room_than_its_bytes():
    told = server(prompt_tokens={ASK.prompt: 9})
    planned = plan(wish(tokens=8183, stream_seconds=None), told)
    assert planned.main.tokens == 8192 - 9
    assert planned.kv_tokens(1) == 80 * 8192 + 8 * (9 + 720)
    with pytest.raises(
        ImpossiblePlanError, match="leaves 8,183 behind the prompt of 9 tokens: type --tokens"
    ):
        plan(wish(tokens=8184, stream_seconds=None), told)


def test_streams_at_once_with_all_that_they_need():
    pulses = Demand(what="pulses", streams=10, tokens_each=40)
    planned = plan(others=(pulses,))
    assert planned.peak_streams == 80 + 8 + 10
    # prompts of 100 tokens at most; 1,300 and 820 tokens in whole blocks of 16
    assert planned.kv_tokens(16) == 80 * 1312 + 8 * 832 + 10 * 48


@pytest.mark.parametrize(
    ("loop", "streams"),
    [
        pytest.param(None, 80, id="each user holds one"),
        pytest.param(OpenLoop(rate=2, ramp_up_s=10, most_open=1000), 120, id="rate times their length"),
        pytest.param(OpenLoop(rate=2, ramp_up_s=10, most_open=50), 50, id="no more than may be open"),
        pytest.param(OpenLoop(rate=0.001, ramp_up_s=10, most_open=50), 1, id="one at least"),
    ],
)
def test_main_streams_open_at_once(loop, streams):
    assert open_at_once(wish(users=80, stream_seconds=60.0, tokens=None, open_loop=loop), 20.0) == streams
