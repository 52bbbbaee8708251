"""From the texts of the command line, the environment, a plan to the settings of a run."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from hooks import layers
from hooks import option_values as values
from hooks.contradictions import refuse_contradictions
from hooks.layers import Given, Layer, UsageError
from hooks.options import LOCUST_OPTIONS, OPTIONS
from hooks.settings import PROJECT, Mode, Settings
from midstream.promotion import Promoter

REHEARSAL_PLAN = PROJECT / "config" / "plans" / "rehearsal.yaml"
# In front of the web UI a person changes the Rollout, and promotes it.
_WEB_UI: Layer = {
    "trigger": Given("the web UI", "none"),
    "promoter": Given("the web UI", Promoter.PERSON),
}
_LOCUST_ATTRIBUTES = {"users": "num_users"}
_BY_NAME = {option.name: option for option in (*OPTIONS, *LOCUST_OPTIONS)}
_SOURCES = tuple(
    option.source._replace(attribute=_LOCUST_ATTRIBUTES.get(option.name, option.name))
    for option in _BY_NAME.values()
)
_PLAN_SOURCES = tuple(source for source in _SOURCES if source.name != "plan")


def read_settings(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Combine all sources, strongest first; UsageError says what to type instead."""
    stack = [layers.from_command_line(parsed, _SOURCES), layers.from_environment(environ, _SOURCES)]
    plan = layers.merge(stack).get("plan")
    if plan is not None:
        stack.append(layers.from_plan(Path(str(_parse("plan", plan))), _PLAN_SOURCES))
    mode = _mode(layers.merge(stack), environ)
    if not parsed.headless:
        stack.append(_WEB_UI)
    if mode is Mode.REHEARSAL:
        stack.append(layers.from_plan(REHEARSAL_PLAN, _PLAN_SOURCES))
    merged = layers.merge(_one_of(_LOADS, _one_of(_LENGTHS, stack)))
    return _settings(mode, {name: _parse(name, given) for name, given in merged.items()})


_LENGTHS = ("tokens", "stream_seconds")
_LOADS = ("users", "arrivals")


def _one_of(names: tuple[str, ...], stack: Sequence[Layer]) -> list[Layer]:
    """The stack with one of these options: the strongest source that names one drops the others."""
    chosen: frozenset[str] = frozenset()
    kept: list[Layer] = []
    for layer in stack:
        named = frozenset(names) & layer.keys()
        if len(named) > 1:
            both = " and ".join(layer[name].where for name in names)
            raise UsageError(f"{both} contradict each other: give one of them")
        dropped = frozenset(names) - chosen if chosen else frozenset()
        kept.append({name: given for name, given in layer.items() if name not in dropped})
        chosen = chosen or named
    return kept


def _parse(name: str, given: Given) -> object:
    option = _BY_NAME[name]
    texts = (given.text,) if isinstance(given.text, str) else given.text
    try:
        parsed = tuple(option.parse(text) for text in texts)
    except values.BadValueError as error:
        shown = given.where if "=" in given.where else f"{given.where} {' '.join(texts)!r}"
        if option.is_secret:
            shown = given.where.partition("=")[0]
        raise UsageError(f"{shown}: {error}") from error
    if option.repeatable:
        return parsed
    if len(parsed) != 1:
        raise UsageError(f"{given.where}: give one value")
    return parsed[0]


def _mode(given: Layer, environ: Mapping[str, str]) -> Mode:
    """A target given but empty must never become a rehearsal by accident, nor a pod that names none."""
    host = given.get("host")
    if host is not None and not str(host.text).strip():
        raise UsageError(
            f"{host.where}: it is empty: give the URL of the server, such as http://localhost:8000, "
            "or leave it out for the rehearsal"
        )
    if "rollout" in given:
        return Mode.ROLLOUT
    if host is not None:
        return Mode.PLAIN
    if "KUBERNETES_SERVICE_HOST" in environ:
        raise UsageError(
            "no target named inside a cluster: give --rollout NAMESPACE/NAME, or --host URL for a plain load"
        )
    return Mode.REHEARSAL


_LIMIT_NAMES = {
    "max_error_rate": "max_error_rate",
    "max_5xx_rate": "max_5xx_rate",
    "min_stream_completion": "min_stream_completion",
    "max_crossing_lost": "max_crossing_lost",
    "min_crossing": "min_crossing",
    "require_drain": "require_drain",
    "max_blackout": "max_blackout_s",
    "max_kept_blackout": "max_kept_blackout_s",
    "max_propagation": "max_propagation_s",
    "watch_after": "watch_after_s",
    "max_ttft_p95": "max_ttft_p95_s",
    "max_gap": "max_gap_s",
}
_ACCESS_NAMES = {
    name: name for name in ("cacert", "cert", "key", "insecure", "resolve", "https_proxy", "no_proxy")
}
_DEADLINE_NAMES = {
    f"{phase}_limit": f"{phase}_s" for phase in ("connect", "headers", "first_token", "idle", "total")
}
_RENAMED = {
    "wind_down": "wind_down_s",
    "baseline": "baseline_s",
    "baseline_limit": "baseline_limit_s",
    "trigger_limit": "trigger_limit_s",
    "preview_limit": "preview_limit_s",
    "promote_limit": "promote_limit_s",
    "cutover_limit": "cutover_limit_s",
    "drain_limit": "drain_limit_s",
    "quiet_limit": "quiet_limit_s",
    "run_time": "run_time_s",
    "rehearsal_fault": "faults",
    "rehearsal_pod_command": "pod_command",
    "header": "headers",
}
_REHEARSAL_NAMES = {  # to the fields of RehearsalPlan
    "rehearsal_tokens_per_second": "tokens_per_second",
    "rehearsal_load_seconds": "load_seconds",
    "rehearsal_scale_down_delay": "scale_down_delay_s",
    "rehearsal_pre_stop": "pre_stop_s",
    "rehearsal_grace": "grace_s",
    "rehearsal_shutdown_timeout": "shutdown_timeout_s",
}
# What a plain load does unless told otherwise (design 1); with a rollout, 80 streams cross the cutover.
_USERS = {Mode.PLAIN: (4, 4.0, 30.0), Mode.ROLLOUT: (80, 20.0, None), Mode.REHEARSAL: (80, 40.0, None)}
PLAIN_TOKENS = 128
MAX_INFLIGHT = 1000
RAMP_UP_S = 10.0


def _settings(mode: Mode, given: dict[str, object]) -> Settings:
    users, spawn_rate, run_time_s = _USERS[mode]
    fields: dict[str, object] = {
        "users": users,
        "spawn_rate": spawn_rate,
        "run_time_s": run_time_s,
        "mode": mode,
    }
    for name, table in (
        ("limits", _LIMIT_NAMES),
        ("deadlines", _DEADLINE_NAMES),
        ("access", _ACCESS_NAMES),
        ("rehearsal", _REHEARSAL_NAMES),
    ):
        fields[name] = {to: given.pop(key) for key, to in table.items() if key in given}
    fields |= _open_loop(given)
    if mode is Mode.PLAIN and "stream_seconds" not in given:
        fields["tokens"] = PLAIN_TOKENS
    fields |= {_RENAMED.get(name, name): value for name, value in given.items() if name != "plan"}
    if "open_loop" in fields:
        fields |= {"users": 1, "spawn_rate": 1.0}  # of the rehearsal's plan there may be others
    settings = msgspec.convert(fields, Settings, dec_hook=lambda to, value: to(value))
    refuse_contradictions(settings)
    return settings


def _open_loop(given: dict[str, object]) -> dict[str, object]:
    """With a rate of arrivals one Locust user begins all streams."""
    named = {name: given.pop(name) for name in ("arrivals", "max_inflight", "ramp_up") if name in given}
    if "arrivals" not in named:
        if named:
            flags = " and ".join(_BY_NAME[name].source.flag for name in named)
            raise UsageError(f"{flags} belongs to an open loop: add --arrivals RATE, or leave it out")
        return {}
    loop = {
        "rate": named["arrivals"],
        "most_open": named.get("max_inflight", MAX_INFLIGHT),
        "ramp_up_s": named.get("ramp_up", RAMP_UP_S),
    }
    return {"open_loop": loop}
