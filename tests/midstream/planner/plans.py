"""Plans as test data: 80 users with one prompt on a server of 20 tokens/s, what a test changes in it."""

from typing import Any

import msgspec

from midstream.planner import plan_load
from midstream.planner.demand import Demand
from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish
from midstream.promotion import Plan, Promoter
from midstream.rollouts.budget import DrainBudget
from midstream.scenarios import Ask
from midstream.streams.capacity import KvCapacity

PROMPT = "x" * 36  # with a chat template around it: 100 tokens at most
ASK = Ask(scenario="default", prompt=PROMPT, tokens=None)
BUDGET = DrainBudget(
    scale_down_delay_s=30,
    pre_stop_s=2,
    grace_s=60,
    engine_drain_s=28,
    sources={
        "scale_down_delay_s": "spec.strategy.blueGreen.scaleDownDelaySeconds",
        "pre_stop_s": "lifecycle.preStop.sleep",
        "grace_s": "terminationGracePeriodSeconds",
        "engine_drain_s": "--shutdown-timeout 28",
    },
)
SERVER = Server(tokens_per_s=20.0, context_tokens=8192)
CACHE = KvCapacity(tokens=65_536, block_tokens=16)
SCRIPT = Plan(
    triggers=True,
    promoter=Promoter.HOOK,
    baseline_s=10,
    watch_after_s=30,
    max_error_rate=0.05,
    max_blackout_s=1,
    baseline_limit_s=120,
    trigger_limit_s=30,
    preview_limit_s=900,
    promote_limit_s=3600,
    cutover_limit_s=60,
    drain_limit_s=150,
    quiet_limit_s=600,
)
WISH = Wish(
    users=80,
    spawn_rate=20,
    asks=(ASK,),
    stream_seconds=60,
    sigterm_streams=8,
    preview_tokens=32,
    wind_down_s=120,
    min_crossing=59,
    script=SCRIPT,
)

PLAIN: Wish = msgspec.structs.replace(WISH, users=4, script=None, run_time_s=30, sigterm_streams=0)


def wish(*, script: dict[str, Any] | None = None, **changes: Any) -> Wish:
    """WISH with changes; `script` changes its script's."""
    if script is not None:
        changes["script"] = msgspec.structs.replace(SCRIPT, **script)
    made: Wish = msgspec.structs.replace(WISH, **changes)
    return made


def server(**changes: Any) -> Server:
    made: Server = msgspec.structs.replace(SERVER, **changes)
    return made


def cache(**changes: Any) -> KvCapacity:
    made: KvCapacity = msgspec.structs.replace(CACHE, **changes)
    return made


def budget(**changes: Any) -> DrainBudget:
    made: DrainBudget = msgspec.structs.replace(BUDGET, **changes)
    return made


def plan(
    wanted: Wish = WISH,
    told: Server = SERVER,
    left: DrainBudget | None = BUDGET,
    others: tuple[Demand, ...] = (),
) -> LoadPlan:
    return plan_load(wanted, told, left, others)
