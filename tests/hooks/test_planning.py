"""Plans from settings: the load's, the script's, prompts counted where their bytes leave doubt."""

import dataclasses
import json
from typing import Any, cast

import pytest

from hooks import tested as target_under_test
from hooks.layers import UsageError
from hooks.planning import MOST_COUNTED, load_plan, plan_page, server_of, wish_of, with_counted_prompts
from hooks.settings import Mode, Settings
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.client import Cluster
from midstream.rollouts.serving_pods import ServingPods
from midstream.run import Subject
from midstream.scenarios import Scenario, Scenarios
from midstream.streams.capacity import KvCapacity
from midstream.streams.target import Target
from midstream.streams.traits import Traits

SHORT, LONG = "Hello", "x" * 500
SCENARIOS = Scenarios((Scenario(name="s", prompts=(SHORT, LONG)),))
BUDGET = DrainBudget(scale_down_delay_s=4, pre_stop_s=2, grace_s=40, engine_drain_s=30, sources={})
ROLLOUT = target_under_test.WatchedRollout(
    cluster=cast(Cluster, None),
    namespace="llm",
    name="vllm",
    labels="app=vllm",
    active_service="vllm-stable",
    stable="7c9f",
    budget=BUDGET,
    pods=ServingPods(ready=3, became_ready_s=41.0),
)
TESTED = target_under_test.Tested(
    target=Target.parse("http://h:1"),
    api="completions",
    model="tiny",
    context_tokens=1000,
    traits=Traits(),
    probed_tokens_per_s=10.0,
    subject=Subject(target="http://h:1", path="test"),
    capacity=KvCapacity(tokens=1024, block_tokens=16),
    rollout=ROLLOUT,
)


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {"mode": Mode.ROLLOUT, "users": 80, "spawn_rate": 20, "trigger": "set-image"}
    return Settings(**(given | changes))


LENGTHS = {
    "nothing said": ({}, (60.0, None)),
    "seconds": ({"stream_seconds": 5.0}, (5.0, None)),
    "tokens": ({"tokens": 30}, (None, 30)),
}


@pytest.mark.parametrize(("changes", "length"), LENGTHS.values(), ids=LENGTHS)
def test_one_kind_of_length_is_wanted(changes, length):
    wanted = wish_of(settings(**changes))
    assert (wanted.stream_seconds, wanted.tokens) == length


def test_the_server_is_what_was_told_at_this_pace():
    told = server_of(TESTED, 25.0)
    assert (told.tokens_per_s, told.context_tokens, told.capacity) == (25.0, 1000, TESTED.capacity)
    assert (told.pods, told.became_ready_s) == (3, 41.0)
    alone = server_of(dataclasses.replace(TESTED, rollout=None), 25.0)
    assert (alone.pods, alone.became_ready_s) == (1, None)


@pytest.mark.parametrize(
    ("pulse", "rollout", "open_at_once"),
    [(10.0, ROLLOUT, [8]), (0.0, ROLLOUT, []), (10.0, None, [])],
    ids=["10 a second, each 0.8 s", "none wanted", "plain load"],
)
def test_pulses_are_part_of_the_demand(pulse, rollout, open_at_once):
    tested = dataclasses.replace(TESTED, rollout=rollout)
    planned = load_plan(settings(pulse=pulse), SCENARIOS, tested)
    assert [demand.streams for demand in planned.demands if demand.what == "pulses"] == open_at_once


def test_what_cannot_be_is_a_wrong_command():
    with pytest.raises(UsageError, match="type --tokens 436 or less"):
        load_plan(settings(tokens=900), SCENARIOS, TESTED)


def test_the_plan_says_what_does_not_fit():
    findings = load_plan(settings(), SCENARIOS, TESTED).findings
    assert any("the KV cache of each of 3 pods has 1,024 tokens" in finding for finding in findings)
    assert any("outlive the 36 s" in finding for finding in findings)


class Counting:
    """A server that counts four bytes a token; with `silent` it counts nothing."""

    def __init__(self, *, silent: bool = False) -> None:
        self.counted: list[str] = []
        self._silent = silent

    def ask(self, target: Target, method: str, path: str, timeout_s: float, body: bytes) -> tuple[int, bytes]:
        prompt = json.loads(body)["prompt"]
        self.counted.append(prompt)
        if self._silent:
            raise TimeoutError("late")
        return 200, b'{"usage": {"prompt_tokens": %d}}' % (len(prompt) // 4)


COUNTED = {
    "seconds that fit at twice the pace": ({"stream_seconds": 10.0}, []),
    "seconds that may not fit behind the longer one": ({"stream_seconds": 30.0}, [LONG]),
    "seconds that may fit behind none": ({"stream_seconds": 90.0}, [LONG, SHORT]),
    "tokens that fit": ({"tokens": 436}, []),
    "tokens that may not fit": ({"tokens": 437}, [LONG]),
}


@pytest.mark.parametrize(("changes", "counted"), COUNTED.values(), ids=COUNTED)
def test_prompts_are_counted_where_bytes_leave_doubt(changes, counted):
    server = Counting()
    tested = with_counted_prompts(TESTED, settings(**changes), SCENARIOS, server)
    assert server.counted == counted
    assert tested.prompt_tokens == {prompt: len(prompt) // 4 for prompt in counted}


def test_counted_prompts_leave_room():
    given = settings(tokens=800)
    tested = with_counted_prompts(TESTED, given, SCENARIOS, Counting())
    assert load_plan(given, SCENARIOS, tested).main.tokens == 800
    with pytest.raises(UsageError, match="500 bytes"):
        load_plan(given, SCENARIOS, with_counted_prompts(TESTED, given, SCENARIOS, Counting(silent=True)))


def test_only_the_longest_of_many_prompts_are_counted():
    prompts = tuple("y" * (400 + number) for number in range(40))
    server = Counting()
    with_counted_prompts(
        TESTED, settings(tokens=700), Scenarios((Scenario(name="s", prompts=prompts),)), server
    )
    assert server.counted == list(reversed(prompts))[:MOST_COUNTED]


def test_the_page_lists_what_each_verb_needs():
    given = settings(sigterm_streams=0, prove=True)
    page = plan_page(given, SCENARIOS, TESTED, load_plan(given, SCENARIOS, TESTED))
    needs = {entry.verb: [(each.verb, each.resource) for each in entry.access] for entry in page.access}
    assert list(needs) == ["watch", "promote", "prove", "set-image", "run lock"]
    assert needs["promote"] == [("patch", "rollouts/status")]
    assert needs["run lock"] == [("get", "leases"), ("create", "leases"), ("update", "leases")]
    assert needs["set-image"] == [("patch", "rollouts")]
    assert needs["prove"] == [("delete", "pods")]
    assert ("watch", "rollouts") in needs["watch"]
