"""Every option of a run: its flag, its variable, how its text is read."""

import argparse
from typing import Any, NamedTuple

from hooks import option_values as values
from hooks.layers import Source
from midstream.promotion import Promoter

TRIGGERS = ("set-image", "set-model", "set-env", "set-args", "same", "undo", "none")


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
