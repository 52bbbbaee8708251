"""What does not fit, sentence by sentence; what fits says nothing."""

import msgspec
import pytest

from midstream.arrivals import OpenLoop
from midstream.promotion import Promoter
from tests.midstream.planner.plans import BUDGET, PLAIN, SERVER, budget, cache, plan, server, wish

FITTING = wish(stream_seconds=40)
DELAYED = budget(scale_down_delay_s=120)
FOUND = {
    "clipped by the context": (
        wish(stream_seconds=60),
        server(context_tokens=780),
        budget(scale_down_delay_s=10),
        [
            "streams last 34 s of the 60 s wanted: the model's context holds 780 tokens, prompt and answer "
            "together, which leaves 680 tokens for an answer; lower --stream-seconds to 34, or serve with a "
            "larger --max-model-len"
        ],
    ),
    "a full KV cache": (
        wish(stream_seconds=40, sigterm_streams=0),
        server(capacity=cache(tokens=36_864)),
        BUDGET,
        [
            "the engine holds 40 of 80 streams at their full length: its KV cache has 36,864 tokens, "
            "80 streams need up to 72,960, so that some may wait or stall: lower -u to 40 or "
            "--stream-seconds to 17"
        ],
    ),
    "beside those for SIGTERM, on several pods": (
        FITTING,
        server(capacity=cache(tokens=20_000, used=0.25), pods=2),
        BUDGET,
        [
            "the engines hold 25 of 80 streams at their full length beside 8 that outlive SIGTERM: the KV "
            "cache of each of 2 pods has 20,000 tokens, 15,000 of them free, 88 streams need up to 79,616, "
            "so that some may wait or stall: lower -u to 25 or --stream-seconds to 9"
        ],
    ),
    "no room at all": (
        wish(tokens=800, stream_seconds=None, sigterm_streams=0),
        server(capacity=cache(tokens=512)),
        BUDGET,
        ["the engine holds 0 of 80 streams .* give the engine more KV cache"],
    ),
    "longer than the old revision lives": (
        wish(),
        SERVER,
        budget(engine_drain_s=4),
        [
            "streams of 60 s outlive the 36 s that the old revision has after the cutover (30 s delay + 2 s "
            "preStop + 4 s drain): some will be cut; that is the finding of this test, the run goes on"
        ],
    ),
    "longer than any engine may drain": (
        wish(stream_seconds=100),
        SERVER,
        budget(engine_drain_s=None),
        [
            "streams of 100 s outlive SIGKILL, 30 s delay + 2 s preStop + 58 s of grace after the cutover: "
            "some will be cut; that is the finding of this test, the run goes on"
        ],
    ),
    "no drain": (
        wish(stream_seconds=20),
        SERVER,
        budget(engine_drain_s=0, sources={"engine_drain_s": "vLLM default, no --shutdown-timeout"}),
        [
            "after SIGTERM a stream has 0 s (vLLM default, no --shutdown-timeout): the 8 streams that "
            "outlive it may be cut; that is the finding of this test, the run goes on"
        ],
    ),
    "never stopped": (
        wish(),
        SERVER,
        budget(scale_down_delay_s=None),
        ["the old pods are never stopped (scaleDownDelaySeconds 0): .* to see it"],
    ),
    "no stream at SIGTERM for want of context": (
        wish(stream_seconds=20, require_drain=True),
        server(context_tokens=1100),
        DELAYED,
        [
            "no stream can outlive SIGTERM: it comes 122 s after the cutover, the longest stream lasts 50 s "
            "(the model's context holds 1,100 tokens, prompt and answer together), 126 s are needed; "
            "the verdict can be no PASS (--require-drain yes): "
            "serve with a larger --max-model-len, or a shorter delay"
        ],
    ),
    "no stream at SIGTERM because none is wanted": (
        wish(stream_seconds=20, sigterm_streams=0),
        SERVER,
        BUDGET,
        [
            "no stream can outlive SIGTERM: it comes 32 s .* (no longer ones are added), 36 s are needed; "
            "it goes unseen: leave --sigterm-streams 0 out"
        ],
    ),
    "a person decides when": (
        wish(stream_seconds=20, script={"promoter": Promoter.PERSON}),
        SERVER,
        BUDGET,
        [
            "whoever promotes must do it within 4 s of the pause, else no stream is open at SIGTERM, 32 s "
            "after the cutover: raise --stream-seconds above 32 to be free of that"
        ],
    ),
    "too few": (
        wish(stream_seconds=40, users=20),
        SERVER,
        BUDGET,
        [
            "at most 28 streams can cross the cutover, 59 are needed (--min-crossing): the verdict can be no "
            "PASS; raise -u to 59"
        ],
    ),
    "a state too short": (
        wish(stream_seconds=40, script={"baseline_limit_s": 10}),
        SERVER,
        BUDGET,
        ["state baseline needs about 14 s and may last 10 s: raise --baseline-limit"],
    ),
    "a run too short": (
        wish(stream_seconds=40, run_time_s=30),
        SERVER,
        BUDGET,
        [
            "the test needs about 58 s and more, -t ends it after 30 s without a verdict: raise -t, or leave "
            "it out"
        ],
    ),
    "tokens that take too long": (
        msgspec.structs.replace(PLAIN, tokens=2000, stream_seconds=None),
        server(tokens_per_s=2.0),
        None,
        [
            "at 2 tokens/s 2,000 tokens take 1000 s and so pass the limit of 900 s for one stream: "
            "type --total-limit 1500"
        ],
    ),
}


@pytest.mark.parametrize(("wanted", "told", "left", "sentences"), FOUND.values(), ids=FOUND)
def test_what_is_found(wanted, told, left, sentences):
    found = plan(wanted, told, left).findings
    assert len(found) == len(sentences)
    for finding, sentence in zip(found, sentences, strict=True):
        parts = sentence.split(" .* ")
        assert finding.startswith(parts[0])
        assert finding.endswith(parts[-1])


SILENT = {
    "all fits": (FITTING, SERVER, BUDGET),
    "a cache that is large enough": (FITTING, server(capacity=cache(tokens=79_616)), BUDGET),
    "a server that tells nothing": (FITTING, server(context_tokens=None), BUDGET),
    "an unknown engine with grace enough": (FITTING, SERVER, budget(engine_drain_s=None)),
    "a plain load": (PLAIN, SERVER, None),
    "a person, with streams that last": (
        wish(stream_seconds=40, script={"promoter": "person"}),
        SERVER,
        BUDGET,
    ),
}


@pytest.mark.parametrize(("wanted", "told", "left"), SILENT.values(), ids=SILENT)
def test_what_fits_says_nothing(wanted, told, left):
    assert plan(wanted, told, left).findings == ()


def test_the_advice_fits():
    """Whoever follows it meets no finding."""
    told = server(capacity=cache(tokens=36_864))
    assert any("lower -u to 33 or --stream-seconds to 13" in each for each in plan(FITTING, told).findings)
    fewer = plan(wish(stream_seconds=40, users=33), told)
    shorter = plan(wish(stream_seconds=13), told)
    assert not any("KV cache" in each for each in (*fewer.findings, *shorter.findings))


@pytest.mark.parametrize(("most", "sheds"), [(1000, False), (240, False), (239, True)])
def test_arrivals_that_would_be_shed(most, sheds):
    loop = OpenLoop(rate=4, ramp_up_s=10, most_open=most)
    found = [words for words in plan(wish(open_loop=loop)).findings if "sheds" in words]
    assert bool(found) is sheds
    assert all("raise it to 240" in words for words in found)
