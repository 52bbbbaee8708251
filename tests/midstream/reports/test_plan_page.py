"""The plan page: every figure with the option or field it comes from, at 100 columns."""

import re

import msgspec
import pytest

from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish
from midstream.promotion import deadline_s
from midstream.reports.plan_page import WIDTH, PlanPage, VerbAccess, page_text
from midstream.rollouts.preflight import needed_access
from midstream.run import Image, State, Subject
from midstream.streams.deadlines import Deadlines
from tests.midstream.planner.plans import (
    BUDGET,
    PLAIN,
    SCRIPT,
    SERVER,
    WISH,
    budget,
    cache,
    plan,
    server,
    wish,
)

WATCHING = needed_access("llm", frozenset())
SUBJECT = Subject(
    target="http://10.0.0.7:8000",
    path="LoadBalancer 10.0.0.7:8000 of Service vllm-stable",
    path_proves_not="an ingress or gateway in front of the Service was not tested",
    api_server="https://10.0.0.1:6443",
    kubernetes="v1.34.1",
    namespace="llm",
    rollout="vllm",
    old=Image(revision="7c9f", images={"vllm": "vllm/vllm-openai:v1"}),
)


def page(wanted: Wish = WISH, told: Server = SERVER, left=BUDGET, **changes) -> PlanPage:
    fields = {
        "subject": SUBJECT,
        "model": "tiny",
        "api": "completions",
        "traits_missing": (),
        "wish": wanted,
        "server": told,
        "plan": plan(wanted, told, left),
        "budget": left,
        "access": (
            VerbAccess("watch", WATCHING),
            VerbAccess("promote", needed_access("llm", frozenset({"promote"}))[len(WATCHING) :]),
        ),
        "deadlines": Deadlines(),
    }
    return PlanPage(**(fields | changes))


def text(*arguments, **changes) -> str:
    return page_text(page(*arguments, **changes))


def section(words: str, title: str) -> str:
    """One section with its white space made one."""
    found = re.search(rf"^{title}[^\n]*\n(.*?)(?:\n\n|\Z)", words, re.DOTALL | re.MULTILINE)
    assert found is not None, words
    return " ".join(found[1].split())


LARGE = text(wish(users=800), server(capacity=cache(used=0.5, running=3), pods=2, became_ready_s=41.0))


def test_it_fits_100_columns_and_has_no_trailing_blanks():
    lines = LARGE.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert not [line for line in lines if line != line.rstrip()]


def test_the_target_with_what_its_path_does_not_prove():
    told = section(text(traits_missing=("token ids",)), "target")
    assert told == (
        "URL http://10.0.0.7:8000 path LoadBalancer 10.0.0.7:8000 of Service vllm-stable "
        "an ingress or gateway in front of the Service was not tested "
        "model tiny (completions), 20 tokens/s a stream, context 8,192 tokens "
        "not shown token ids: hence not demanded of streams"
    )


def test_the_rollout_with_what_serves():
    assert "7c9f vllm=vllm/vllm-openai:v1, 2 pods ready (after 41 s)" in section(LARGE, "rollout")


def test_each_verb_with_its_permissions():
    told = section(text(), "what RBAC")
    assert "watch get, list, watch rollouts (argoproj.io)" in told
    assert "watch get, list, watch pods, services (core)" in told
    assert "promote patch rollouts/status (argoproj.io)" in told


def test_every_permission_is_told():
    lines = text().splitlines()
    for access in WATCHING:
        told = [line for line in lines if re.search(rf"\b{access.resource}\b.*\(", line)]
        assert any(access.verb in line for line in told), access


BUDGETS = {
    "a sum": (
        BUDGET,
        "30 s delay (spec.strategy.blueGreen.scaleDownDelaySeconds) + 2 s preStop (lifecycle.preStop.sleep) "
        "+ 28 s drain: the shorter of the engine's 28 s (--shutdown-timeout 28), grace 60 s "
        "(terminationGracePeriodSeconds) without preStop = 58 s "
        "= 60 s then the last stream has ended or is cut",
    ),
    "never": (
        budget(scale_down_delay_s=None, sources={"scale_down_delay_s": "scaleDownDelaySeconds 0"}),
        "unlimited old pods are never stopped (scaleDownDelaySeconds 0)",
    ),
    "an unknown engine": (
        budget(engine_drain_s=None, sources=BUDGET.sources | {"engine_drain_s": "unknown engine"}),
        "30 s delay (spec.strategy.blueGreen.scaleDownDelaySeconds) + 2 s preStop (lifecycle.preStop.sleep) "
        "+ unknown drain of the engine (unknown engine), at most grace 60 s (terminationGracePeriodSeconds) "
        "without preStop = 58 s",
    ),
}


@pytest.mark.parametrize(("left", "told"), BUDGETS.values(), ids=BUDGETS)
def test_the_budget_is_a_sum_with_sources(left, told):
    assert section(text(WISH, SERVER, left), "drain budget") == told


def test_the_streams_with_their_tokens():
    told = section(LARGE, "streams")
    assert "a stream 60 s = 1,200 tokens (--stream-seconds 60)" in told
    assert "for SIGTERM 8 of 36 s = 720 tokens (--sigterm-streams)" in told
    assert "at once 808 at most: 800 streams + 8 that outlive SIGTERM" in told
    assert "65,536 in each of 2 pods there (50 % in use, 3 streams of others)" in told


def test_named_tokens_and_a_clipped_length():
    named = section(text(wish(tokens=300, stream_seconds=None)), "streams")
    assert "a stream 15 s = 300 tokens (--tokens 300)" in named
    assert "the server does not tell how much it holds" in named
    clipped = section(text(WISH, server(context_tokens=780)), "streams")
    assert "a stream 34 s of 60 s wanted = 680 tokens (--stream-seconds 60)" in clipped


def test_the_duration_is_the_sum_of_its_parts():
    told = server(became_ready_s=41.0)
    lines = text(WISH, told).partition("expected duration\n")[2].partition("\n\n")[0].splitlines()
    seconds = [float(each) for line in lines for each in re.findall(r"^[ +=]*([\d.]+) s  ", line)]
    assert len(lines) == len(seconds) == len(plan(WISH, told).parts) + 1
    assert seconds[-1] == pytest.approx(sum(seconds[:-1]), rel=0.01)


def test_what_nobody_can_tell_is_named():
    told = section(text(), "expected duration")
    assert "unknown new pods get ready" in told
    assert told.endswith("and more, with: new pods get ready")


def test_every_state_with_its_deadline_and_option():
    lines = text().splitlines()
    for state in State:
        limit = deadline_s(state, SCRIPT)
        if limit is not None:
            assert any(line.split() == [state, f"{limit[0]:g}", "s", limit[1]] for line in lines), state


def test_every_limit_of_a_stream_with_its_option():
    told = section(text(deadlines=Deadlines(idle_s=7.5)), "limits of one stream")
    for option in (
        "--connect-limit",
        "--headers-limit",
        "--first-token-limit",
        "--idle-limit",
        "--total-limit",
    ):
        assert option in told
    assert "between two tokens 7.5 s --idle-limit" in told


def test_findings_stand_last():
    full = plan(wish(users=800), server(capacity=cache(used=0.5, running=3), pods=2, became_ready_s=41.0))
    assert full.findings
    told = section(LARGE, "what does not fit")
    for finding in full.findings:
        assert finding in told
    assert LARGE.rstrip().endswith(full.findings[-1].split()[-1])


def test_a_plan_that_fits_says_so():
    assert section(text(wish(stream_seconds=40)), "what does not fit") == "nothing: this plan fits"


def test_a_plain_load_has_no_promotion_on_its_page():
    told = text(PLAIN, SERVER, None, access=(), subject=Subject(target="http://h", path="the URL given"))
    for title in ("rollout", "what RBAC", "drain budget", "deadlines"):
        assert not re.search(rf"^{title}", told, re.MULTILINE)
    assert "30 s the load (-t)" in section(told, "expected duration")


def test_a_servers_words_do_not_steer_the_terminal():
    told = text(model="a\x1b[2Jb\nc")
    assert "\x1b" not in told
    assert "a [2Jb c" in told


def test_the_page_is_data():
    made = page()
    assert msgspec.json.decode(msgspec.json.encode(made.plan), type=LoadPlan) == made.plan
