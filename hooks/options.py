"""Every option of a run, typed into one frozen Settings."""

import argparse
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hooks import layers
from hooks import option_values as values
from hooks.layers import Given, Layer, Source, UsageError
from midstream.arrivals import OpenLoop
from midstream.promotion import Promoter
from midstream.rehearsal.manifest import words_of
from midstream.run import Limits
from midstream.streams.access import Access, Header
from midstream.streams.deadlines import Deadlines

PROJECT = Path(__file__).resolve().parent.parent
REHEARSAL_PLAN = PROJECT / "config" / "plans" / "rehearsal.yaml"
DEFAULT_SCENARIOS = PROJECT / "config" / "scenarios" / "default.yaml"
TRIGGERS = ("set-image", "set-model", "set-env", "set-args", "same", "undo", "none")


class Mode(StrEnum):
    """What is tested."""

    REHEARSAL = "rehearsal"  # no target named
    ROLLOUT = "rollout"
    PLAIN = "plain"  # --host alone


class Option(NamedTuple):
    """One option: `--name-with-dashes`, env MIDSTREAM_NAME, plan key `name`."""

    name: str
    parse: values.Parser
    help: str
    group: str
    env: str = ""  # the names that the seed or everybody uses, accepted beside MIDSTREAM_NAME
    repeatable: bool = False
    is_switch: bool = False  # on the command line without a value
    is_secret: bool = False  # its value is never shown
    separator: str = ","  # of several values in one variable of the environment

    @property
    def source(self) -> Source:
        """How it can be given."""
        flag = "--" + self.name.replace("_", "-")
        envs = tuple(name for name in (f"MIDSTREAM_{self.name.upper()}", *self.env.split()))
        return Source(self.name, self.name, flag, envs, self.repeatable, self.separator)


_LOCUST, _TARGET, _ACCESS, _LOAD, _SCRIPT, _STREAM, _VERDICT, _REHEARSAL = (
    "Locust's own",
    "what is tested",
    "how the server is reached",
    "the load",
    "the promotion",
    "limits of one stream",
    "the verdict",
    "the rehearsal",
)

OPTIONS: tuple[Option, ...] = (
    Option("rollout", values.namespaced_name, "the Rollout to watch: NAMESPACE/NAME", _TARGET),
    Option("context", values.text, "the kubeconfig's context (default: its current one)", _TARGET),
    Option(
        "preview_host", values.text, "URL of the preview Service, where it is not found by itself", _TARGET
    ),
    Option(
        "model", values.text, "the model to ask for (default: the first one served)", _TARGET, "MODEL_NAME"
    ),
    Option("api", values.one_of("completions", "chat"), "completions or chat (default completions)", _TARGET),
    Option("cacert", values.text, "PEM file of the authorities to trust (default: the system's)", _ACCESS),
    Option("cert", values.text, "PEM file of the client's certificate", _ACCESS),
    Option("key", values.text, "PEM file of its key, where --cert does not hold it", _ACCESS),
    Option(
        "insecure",
        values.yes_no,
        "verify no certificate; the report says so",
        _ACCESS,
        is_switch=True,
    ),
    Option(
        "header",
        values.header,
        "'NAME: VALUE' for every request, its value shown nowhere; may be given several times, in the "
        "environment one a line",
        _ACCESS,
        repeatable=True,
        is_secret=True,
        separator="\n",  # commas stand within values
    ),
    Option(
        "resolve",
        values.resolve,
        "HOST:PORT:ADDRESS, an address for a name; may be given several times",
        _ACCESS,
        repeatable=True,
    ),
    Option(
        "https_proxy",
        str,
        "http://[USER:PASSWORD@]HOST[:PORT], a proxy whose tunnels lead to servers with https",
        _ACCESS,
        "https_proxy HTTPS_PROXY",
        is_secret=True,
    ),
    Option(
        "no_proxy",
        str,
        "what is reached without it: names, their ends, networks, separated by commas",
        _ACCESS,
        "no_proxy NO_PROXY",
    ),
    Option(
        "api_key_env",
        values.text,
        "NAME of the environment variable that holds the API key, sent as Authorization: Bearer",
        _ACCESS,
    ),
    Option(
        "api_key_command",
        values.arguments,
        "command that prints the API key; it is run again before a JWT expires, every 5 minutes, on a 401",
        _ACCESS,
        is_secret=True,
    ),
    Option(
        "scenario",
        values.text,
        "YAML file with prompts, lengths and weights (default: config/scenarios/default.yaml)",
        _LOAD,
    ),
    Option("plan", values.text, "YAML file with any of these options", _LOAD),
    Option(
        "dry_run",
        values.yes_no,
        "show the plan of the test instead of running it: all is read, nothing written, exit code 0",
        _LOAD,
        is_switch=True,
    ),
    Option(
        "tokens",
        values.positive_count,
        "length of each stream in tokens (default: 128 in a plain load)",
        _LOAD,
    ),
    Option(
        "stream_seconds",
        values.positive_seconds,
        "length of each stream in time (default: 60 with a rollout)",
        _LOAD,
    ),
    Option("kept_share", values.share, "share of users that keep their connection (default 0)", _LOAD),
    Option(
        "pulse",
        values.number_or_0,
        "short streams a second that tell whether the service can be reached; 0: none (default 10)",
        _LOAD,
    ),
    Option(
        "sigterm_streams",
        values.count,
        "longer streams added so that some outlive SIGTERM (default 8)",
        _LOAD,
    ),
    Option(
        "arrivals",
        values.positive_number,
        "streams that begin in a second by chance (Poisson), however many are open; instead of -u",
        _LOAD,
    ),
    Option(
        "max_inflight",
        values.positive_count,
        "with --arrivals: open at once at most; what is shed is counted (default 1000)",
        _LOAD,
    ),
    Option("ramp_up", values.seconds, "with --arrivals: time to reach that rate (default 10)", _LOAD),
    Option("seed", values.count, "seed of prompts and lengths (default 0)", _LOAD),
    Option(
        "wind_down",
        values.seconds,
        "how long open streams may finish when the test stops (default 120)",
        _LOAD,
    ),
    Option("trigger", values.one_of(*TRIGGERS), f"how the update is started: {', '.join(TRIGGERS)}", _SCRIPT),
    Option("set_image", values.assignment, "with --trigger set-image: CONTAINER=IMAGE", _SCRIPT),
    Option("set_model", values.text, "with --trigger set-model: the new model", _SCRIPT),
    Option("set_env", values.assignment, "with --trigger set-env: NAME=VALUE", _SCRIPT),
    Option(
        "set_args",
        values.arguments,
        "with --trigger set-args: --set-args='NEW ARGUMENTS', as in a shell",
        _SCRIPT,
    ),
    Option(
        "promoter",
        values.one_of(*Promoter),
        "who promotes: hook, person, or argo by autoPromotionEnabled (default hook; in the web UI: person)",
        _SCRIPT,
    ),
    Option(
        "preview_streams", values.count, "streams that validate the new revision first (default 3)", _SCRIPT
    ),
    Option("baseline", values.seconds, "undisturbed time before the update (default 10)", _SCRIPT),
    Option("watch_after", values.seconds, "time watched after the cutover (default 30)", _SCRIPT),
    Option("baseline_limit", values.positive_seconds, "deadline of the baseline (default 120)", _SCRIPT),
    Option(
        "trigger_limit",
        values.positive_seconds,
        "deadline of the update's start (default: 30, or 1h when somebody else starts it)",
        _SCRIPT,
    ),
    Option("preview_limit", values.positive_seconds, "deadline of the new pods (default 900)", _SCRIPT),
    Option(
        "promote_limit",
        values.positive_seconds,
        "deadline of somebody else's promotion (default 1h)",
        _SCRIPT,
    ),
    Option(
        "cutover_limit",
        values.positive_seconds,
        "deadline of the cutover once promoted (default 60)",
        _SCRIPT,
    ),
    Option(
        "drain_limit", values.positive_seconds, "deadline of the drain (default: the budget + 60)", _SCRIPT
    ),
    Option("quiet_limit", values.positive_seconds, "deadline of the last state (default 600)", _SCRIPT),
    Option("connect_limit", values.positive_seconds, "to connect (default 10)", _STREAM),
    Option("headers_limit", values.positive_seconds, "to the response's head (default 30)", _STREAM),
    Option("first_token_limit", values.positive_seconds, "to the first token (default 60)", _STREAM),
    Option("idle_limit", values.positive_seconds, "between two tokens (default 20)", _STREAM),
    Option("total_limit", values.positive_seconds, "of the whole stream (default 900)", _STREAM),
    Option(
        "max_error_rate",
        values.share,
        "share of streams lost or refused (default 5%)",
        _VERDICT,
        "MAX_ERROR_RATE",
    ),
    Option("max_5xx_rate", values.share, "share answered with 5xx (default 2%)", _VERDICT, "MAX_5XX_RATE"),
    Option(
        "min_stream_completion",
        values.share,
        "share completed (default 90%)",
        _VERDICT,
        "MIN_STREAM_COMPLETION",
    ),
    Option(
        "max_crossing_lost",
        values.count,
        "streams lost across the cutover (default 0)",
        _VERDICT,
        "MAX_CROSSING_LOST",
    ),
    Option(
        "min_crossing",
        values.count,
        "streams needed across the cutover (default 59)",
        _VERDICT,
        "MIN_CROSSING",
    ),
    Option(
        "require_drain",
        values.yes_no,
        "yes: some stream must meet SIGTERM (default no)",
        _VERDICT,
        "REQUIRE_DRAIN",
    ),
    Option(
        "max_blackout",
        values.seconds,
        "time unreachable at the cutover (default 1)",
        _VERDICT,
        "MAX_BLACKOUT",
    ),
    Option(
        "max_kept_blackout",
        values.seconds,
        "the same for clients that keep their connections (default: not checked)",
        _VERDICT,
        "MAX_KEPT_BLACKOUT",
    ),
    Option(
        "max_propagation",
        values.seconds,
        "old revision on new connections (default 10)",
        _VERDICT,
        "MAX_PROPAGATION",
    ),
    Option(
        "max_ttft_p95",
        values.positive_seconds,
        "95th percentile of TTFT (default: not checked)",
        _VERDICT,
        "MAX_TTFT_P95",
    ),
    Option(
        "max_gap",
        values.positive_seconds,
        "longest silence in a stream (default: not checked)",
        _VERDICT,
        "MAX_GAP",
    ),
    Option(
        "prove",
        values.yes_no,
        "after a PASS kill a pod of the new revision under a throw-away stream, which must be called lost",
        _VERDICT,
        is_switch=True,
    ),
    Option("results", values.text, "folder for the results (default results)", _VERDICT),
    Option(
        "rehearsal_fault",
        values.text,
        "a fault to rehearse, by name or YAML file; may be given several times",
        _REHEARSAL,
        repeatable=True,
    ),
    Option(
        "rehearsal_tokens_per_second", values.positive_number, "pace of each stream (default 20)", _REHEARSAL
    ),
    Option("rehearsal_load_seconds", values.seconds, "time an engine takes to load (default 1)", _REHEARSAL),
    Option("rehearsal_scale_down_delay", values.count, "scaleDownDelaySeconds (default 4)", _REHEARSAL),
    Option("rehearsal_pre_stop", values.count, "preStop sleep in seconds (default 2)", _REHEARSAL),
    Option("rehearsal_grace", values.count, "terminationGracePeriodSeconds (default 40)", _REHEARSAL),
    Option(
        "rehearsal_shutdown_timeout", values.count, "the engine's --shutdown-timeout (default 30)", _REHEARSAL
    ),
    Option(
        "rehearsal_pod_command",
        values.text,
        "pods run this OpenAI server instead of the bundled engine: python -m midstream rehearsal --help",
        _REHEARSAL,
    ),
)

# Locust's own options; a plan may set them as well.
LOCUST_OPTIONS: tuple[Option, ...] = (
    Option("users", values.positive_count, "streams held at once (default: 80, in a plain load 4)", _LOCUST),
    Option(
        "spawn_rate",
        values.positive_number,
        "users that begin in a second (default: 20, in a plain load 4)",
        _LOCUST,
    ),
    Option(
        "run_time", values.positive_seconds, "the run is over by then (default: 30 in a plain load)", _LOCUST
    ),
    Option("host", str, "URL of the server under load; alone: a plain load", _LOCUST, "TARGET_HOST"),
)
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


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All choices of a run. Durations in seconds, shares as fractions."""

    mode: Mode
    host: str | None = None
    rollout: tuple[str, str] | None = None
    context: str | None = None
    preview_host: str | None = None
    model: str | None = None
    api: str = "completions"
    access: Access = Access()
    headers: tuple[Header, ...] = ()
    api_key_env: str | None = None
    api_key_command: str | None = None
    scenario: Path = DEFAULT_SCENARIOS
    dry_run: bool = False
    tokens: int | None = None
    stream_seconds: float | None = None
    kept_share: float = 0.0
    pulse: float = 10.0
    open_loop: OpenLoop | None = None
    sigterm_streams: int = 8
    seed: int = 0
    wind_down_s: float = 120.0
    trigger: str | None = None
    set_image: tuple[str, str] | None = None
    set_model: str | None = None
    set_env: tuple[str, str] | None = None
    set_args: str | None = None
    promoter: Promoter = Promoter.HOOK
    preview_streams: int = 3
    baseline_s: float = 10.0
    baseline_limit_s: float = 120.0
    trigger_limit_s: float | None = None
    preview_limit_s: float = 900.0
    promote_limit_s: float = 3600.0
    cutover_limit_s: float = 60.0
    drain_limit_s: float | None = None
    quiet_limit_s: float = 600.0
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()
    prove: bool = False
    results: Path = Path("results")
    faults: tuple[str, ...] = ()
    pod_command: str | None = None
    rehearsal: dict[str, int | float] = msgspec.field(
        default_factory=dict
    )  # what the rehearsal itself is built by
    users: int
    spawn_rate: float
    run_time_s: float | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare every option to Locust's parser; values stay text, so that workers can carry them."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in OPTIONS:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(f"Midstream: {option.group}")
        action = groups[option.group].add_argument(
            option.source.flag,
            dest=option.name,
            default=None,
            help=f"{option.help} [env {', '.join(option.source.envs)}]".replace("%", "%%"),
            **_action(option),
        )
        # A group bypasses Locust's own add_argument, which sets these (argument_parser.py, 2.47).
        for flag in ("include_in_web_ui", "is_secret", "is_required", "is_multiple"):
            setattr(action, flag, False)


def _action(option: Option) -> dict[str, Any]:
    if option.is_switch:
        return {"action": "store_const", "const": "yes"}
    return {"action": "append" if option.repeatable else "store"}


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
ROLLOUT_STREAM_SECONDS = 60.0


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
    _check_consistency(settings)
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


_TRIGGER_NEEDS = {
    "set-image": ("set_image", "--set-image CONTAINER=IMAGE"),
    "set-model": ("set_model", "--set-model MODEL"),
    "set-env": ("set_env", "--set-env NAME=VALUE"),
    "set-args": ("set_args", "--set-args='ARGUMENTS'"),
}


def _check_consistency(settings: Settings) -> None:
    if settings.faults and settings.mode is not Mode.REHEARSAL:
        raise UsageError("--rehearsal-fault is for the rehearsal only: leave --host and --rollout out")
    if settings.pod_command is not None:
        _check_pod_command(settings.pod_command, settings.mode)
    if settings.access.insecure and settings.access.cacert is not None:
        raise UsageError("--insecure and --cacert contradict each other: give one of them")
    if settings.api_key_env is not None and settings.api_key_command is not None:
        raise UsageError("--api-key-env and --api-key-command contradict each other: give one of them")
    if settings.mode is Mode.PLAIN:
        if settings.prove:
            raise UsageError(
                "--prove kills a pod of a Rollout: add --rollout NAMESPACE/NAME, or leave it out"
            )
        if settings.trigger not in (None, "none"):
            raise UsageError("--trigger needs a Rollout: add --rollout NAMESPACE/NAME")
        return
    if settings.trigger is None:
        raise UsageError(
            f"--rollout needs --trigger, one of: {', '.join(TRIGGERS)} (none: somebody else updates)"
        )
    _check_pulse(settings)
    needs = _TRIGGER_NEEDS.get(settings.trigger)
    if needs is not None and getattr(settings, needs[0]) is None:
        raise UsageError(f"--trigger {settings.trigger} needs {needs[1]}")


def _check_pod_command(pod_command: str, mode: Mode) -> None:
    if mode is not Mode.REHEARSAL:
        raise UsageError("--rehearsal-pod-command is for the rehearsal only: leave --host and --rollout out")
    try:
        words_of(pod_command)
    except ValueError as error:
        raise UsageError(f"--rehearsal-pod-command {pod_command!r}: {error}") from None


def _check_pulse(settings: Settings) -> None:
    """Every second pulse is on a new connection; around one that fails a blackout of two periods can hide."""
    if not settings.pulse:
        return
    resolution_s, limit_s = 4 / settings.pulse, settings.limits.max_blackout_s
    if resolution_s > limit_s:
        more = f"--pulse {4 / limit_s:g} or more, " if limit_s else ""
        raise UsageError(
            f"--pulse {settings.pulse:g} cannot tell a blackout of {limit_s:g} s: give {more}"
            f"--max-blackout {resolution_s:g} or more, or --pulse 0 to leave it out"
        )
