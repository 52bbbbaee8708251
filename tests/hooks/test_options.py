"""How command line, environment and plans become one Settings."""

import re

import pytest

from hooks.layers import UsageError
from hooks.options import LOCUST_OPTIONS, OPTIONS, TRIGGERS
from hooks.planning import DRAIN_RESERVE_S, PERSON_LIMIT_S, TRIGGER_LIMIT_S
from hooks.read_settings import REHEARSAL_PLAN, read_settings
from hooks.settings import DEFAULT_SCENARIOS, PROJECT, ROLLOUT_STREAM_SECONDS, Mode, Settings
from midstream import smoke_command, status_command, update_command
from midstream.arrivals import OpenLoop
from midstream.promotion import Promoter
from midstream.rehearsal import command as rehearsal_command
from midstream.rehearsal.engine import options as engine_options
from tests.hooks.command_line import locust_parser, parse

ALL = (*OPTIONS, *LOCUST_OPTIONS)
PLANS = {"rehearsal.yaml", "quick.yaml"}
README = (PROJECT / "README.md").read_text()


# Where any text but "1" is needed.
TEXTS = {
    "prove": "yes",
    "pulse": "8",
    "trigger": "none",
    "plan": str(REHEARSAL_PLAN),
    "promoter": "person",
    "api": "chat",
    "set_image": "a=b",
    "set_env": "a=b",
    "rollout": "a/b",
    "require_drain": "yes",
    "insecure": "yes",
    "dry_run": "yes",
    "header": "X-Team: search",
    "resolve": "llm.example:443:10.0.0.7",
}


def read(*arguments: str, **environ: str) -> Settings:
    return read_settings(parse(*arguments), environ)


PROXY = "http://ada:secret@proxy.example:3128"
PROXY_NAMES = ("MIDSTREAM_HTTPS_PROXY", "https_proxy", "HTTPS_PROXY")


@pytest.mark.parametrize("name", PROXY_NAMES)
def test_a_proxy_is_taken_from_the_environment(name):
    access = read("--host", "https://a", **{name: PROXY, "NO_PROXY": "b.example"}).access
    assert access.https_proxy == PROXY
    assert access.no_proxy == "b.example"


def test_headers_from_the_environment_stand_one_a_line():
    headers = read("--host", "http://a", MIDSTREAM_HEADER="Accept-Language: de, en\nX-Team: search").headers
    assert headers == (("Accept-Language", "de, en"), ("X-Team", "search"))


def test_an_empty_or_foreign_proxy_does_not_hinder_a_rehearsal():
    for text in ("", "socks5://127.0.0.1:1080"):
        assert read(HTTPS_PROXY=text).mode is Mode.REHEARSAL


def test_no_target_is_the_rehearsal_with_its_plan():
    settings = read()
    assert settings.mode is Mode.REHEARSAL
    assert settings.users == 80
    assert settings.trigger == "set-image"
    assert settings.limits.require_drain
    assert settings.run_time_s is None


def test_a_plain_load_has_the_seeds_numbers():
    settings = read("--host", "http://localhost:8000")
    assert settings.mode is Mode.PLAIN
    assert (settings.users, settings.run_time_s, settings.tokens) == (4, 30.0, 128)
    assert settings.limits.max_error_rate == 0.05
    assert settings.limits.max_5xx_rate == 0.02
    assert settings.limits.min_stream_completion == 0.9


def test_a_rollout_needs_59_streams_and_has_80():
    settings = read("--rollout", "llm-serving/vllm", "--trigger", "none")
    assert settings.mode is Mode.ROLLOUT
    assert settings.rollout == ("llm-serving", "vllm")
    assert settings.users == 80
    assert settings.limits.min_crossing == 59
    assert settings.run_time_s is None


def test_a_rollout_with_a_host_is_reached_there():
    settings = read("--rollout", "a/b", "--trigger", "none", "--host", "http://gateway")
    assert settings.mode is Mode.ROLLOUT
    assert settings.host == "http://gateway"


def test_the_strongest_source_wins(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("stream_seconds: 3\nbaseline: 3\nwatch-after: 3\nmax_error_rate: 3%\n")
    settings = read(
        *("--plan", str(plan), "--stream-seconds", "1m"), MIDSTREAM_STREAM_SECONDS="2", MIDSTREAM_BASELINE="2"
    )
    assert settings.stream_seconds == 60.0  # command line
    assert settings.baseline_s == 2.0  # environment
    assert settings.limits.watch_after_s == 3.0  # plan
    assert settings.limits.max_error_rate == 0.03
    assert settings.sigterm_streams == 8  # the rehearsal's plan


@pytest.mark.parametrize("name", ["MAX_ERROR_RATE", "MIDSTREAM_MAX_ERROR_RATE"])
def test_the_seeds_names_stay(name):
    assert read(**{name: "1%"}).limits.max_error_rate == 0.01


def test_faults_may_be_repeated():
    assert read("--rehearsal-fault", "a", "--rehearsal-fault", "b").faults == ("a", "b")
    assert read(MIDSTREAM_REHEARSAL_FAULT="a,b").faults == ("a", "b")


def test_in_the_web_ui_a_person_acts():
    settings = read_settings(parse(headless=False), {})
    assert settings.trigger == "none"
    assert settings.promoter is Promoter.PERSON


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_a_variable_and_a_line_of_a_plan(option, tmp_path):
    text = TEXTS.get(option.name, "1")
    target = [] if option.group == "the rehearsal" else list(ROLLOUT)
    target += OPEN_LOOP if option.name in OF_OPEN_LOOP else []
    by_environment = read(*target, **{f"MIDSTREAM_{option.name.upper()}": text})
    if option.name != "plan":  # a plan names no other
        plan = tmp_path / "plan.yaml"
        plan.write_text(f"{option.name}: '{text}'\n")
        assert read(*target, "--plan", str(plan)) == by_environment


ROLLOUT = ("--rollout", "a/b", "--trigger", "none")
OPEN_LOOP = ["--arrivals", "5"]
OF_OPEN_LOOP = ("max_inflight", "ramp_up")

EMPTY = {
    "command line": (["--host", ""], {}),
    "environment": ([], {"TARGET_HOST": ""}),
    "environment with a rollout": (["--rollout", "a/b", "--trigger", "none"], {"TARGET_HOST": " "}),
}


@pytest.mark.parametrize(("arguments", "environ"), EMPTY.values(), ids=EMPTY)
def test_an_empty_target_never_becomes_a_rehearsal(arguments, environ):
    with pytest.raises(UsageError, match="give the URL of the server"):
        read(*arguments, **environ)


def test_a_pod_must_name_its_target():
    with pytest.raises(UsageError, match="--rollout NAMESPACE/NAME"):
        read(KUBERNETES_SERVICE_HOST="10.96.0.1")


BAD = {
    "share without unit": (["--max-error-rate", "5"], "--max-error-rate '5'.*5%"),
    "tokens and seconds": (
        ["--host", "http://a", "--tokens", "3", "--stream-seconds", "3"],
        "--tokens and --stream-seconds",
    ),
    "rollout without trigger": (["--rollout", "a/b"], "--trigger, one of: set-image"),
    "trigger without rollout": (["--host", "http://a", "--trigger", "same"], "--rollout NAMESPACE/NAME"),
    "set-image without image": (
        ["--rollout", "a/b", "--trigger", "set-image"],
        "--set-image CONTAINER=IMAGE",
    ),
    "fault outside the rehearsal": (["--host", "http://a", "--rehearsal-fault", "x"], "rehearsal only"),
    "pod command outside the rehearsal": (
        ["--host", "http://a", "--rehearsal-pod-command", "x"],
        "--rehearsal-pod-command is for the rehearsal only",
    ),
    "pod command without an end": (["--rehearsal-pod-command", "a 'b"], "No closing quotation"),
    "verify by this, verify nothing": (
        ["--host", "http://a", "--insecure", "--cacert", "ca.pem"],
        "--insecure and --cacert",
    ),
    "a name for an address": (["--resolve", "a:443:b"], "--resolve.*HOST:PORT:ADDRESS"),
    "unknown trigger": (["--rollout", "a/b", "--trigger", "restart"], "set-image, set-model"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_options(arguments, words):
    with pytest.raises(UsageError, match=words):
        read(*arguments)


def test_an_unknown_key_of_a_plan_is_refused(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("watch_aftr: 3\n")
    with pytest.raises(UsageError, match=r"watch_aftr \(did you mean watch_after\?\)"):
        read("--plan", str(plan))


def test_every_bundled_plan_is_known_here_and_parses():
    assert {file.name for file in (PROJECT / "config" / "plans").iterdir()} == PLANS
    for name in PLANS:
        read("--plan", str(PROJECT / "config" / "plans" / name))


def test_options_of_the_readme_exist():
    parsers = (
        locust_parser(),
        smoke_command._parser(),
        status_command._parser(),
        update_command._parser(),
        rehearsal_command._parser(),
        engine_options._parser(),
    )
    known = {flag for parser in parsers for action in parser._actions for flag in action.option_strings}
    ours = re.sub(r"docker run .*? midstream:local", "", README)  # what stands before the image is Docker's
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", ours))
    assert named
    assert named <= known


def test_variables_of_the_readme_exist():
    known = {env for option in ALL for env in option.source.envs}
    named = set(re.findall(r"\b(?:MIDSTREAM|MAX|MIN)_[A-Z0-9_]+", README))
    assert named
    assert named <= known


PLAIN = ("--host", "http://a")
TOLD = {option: re.search(r"\(default ([^;:)]+)", option.help) for option in ALL}
# Told in words, or there is nothing to be told.
IN_WORDS = {
    *("rollout", "context", "preview_host", "model", "host"),
    *(
        "arrivals",
        "scenario",
        "plan",
        "dry_run",
        "tokens",
        "stream_seconds",
        "users",
        "spawn_rate",
        "run_time",
    ),
    *("trigger", "set_image", "set_model", "set_env", "set_args", "trigger_limit", "drain_limit"),
    *("cacert", "cert", "key", "insecure", "header", "resolve", "api_key_env", "api_key_command"),
    *("https_proxy", "no_proxy"),
    *("prove", "max_ttft_p95", "max_gap", "max_kept_blackout"),
    *("rehearsal_fault", "rehearsal_pod_command"),
}


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_the_default_that_is_told_is_the_default(option):
    told = TOLD[option]
    assert (told is None) is (option.name in IN_WORDS)
    if told is not None and option.group == "the rehearsal":
        assert read(option.source.flag, told[1]) == read()
    elif told is not None:
        target = [*ROLLOUT, *(OPEN_LOOP if option.name in OF_OPEN_LOOP else ())]
        assert read(*target, option.source.flag, told[1]) == read(*target)


BY_MODE = {
    "plain users": (PLAIN, "--users", "4", "in a plain load 4"),
    "plain spawn rate": (PLAIN, "--spawn-rate", "4", "in a plain load 4"),
    "plain run time": (PLAIN, "--run-time", "30", "30 in a plain load"),
    "plain tokens": (PLAIN, "--tokens", "128", "128 in a plain load"),
    "users": (ROLLOUT, "--users", "80", "default: 80"),
    "spawn rate": (ROLLOUT, "--spawn-rate", "20", "default: 20"),
}


@pytest.mark.parametrize(("target", "flag", "value", "words"), BY_MODE.values(), ids=BY_MODE)
def test_a_default_that_hangs_on_the_target(target, flag, value, words):
    assert read(*target, flag, value) == read(*target)
    assert words in next(option.help for option in ALL if option.source.flag == flag)


def test_the_rest_of_the_defaults_in_words():
    by_name = {option.name: option.help for option in ALL}
    assert f"default: {ROLLOUT_STREAM_SECONDS:g} with a rollout" in by_name["stream_seconds"]
    assert f"default: {DEFAULT_SCENARIOS.relative_to(PROJECT)}" in by_name["scenario"]
    assert f"default: {TRIGGER_LIMIT_S:g}, or {PERSON_LIMIT_S / 3600:g}h" in by_name["trigger_limit"]
    for name in ("max_ttft_p95", "max_gap"):
        assert "default: not checked" in by_name[name]
        assert getattr(read().limits, f"{name}_s") is None
    assert f"default: the budget + {DRAIN_RESERVE_S:g}" in by_name["drain_limit"]


def test_options_left_out_stay_out_of_the_command_line():
    parsed = vars(parse())
    assert all(parsed[option.name] is None for option in OPTIONS)


SEEDS = {
    "MODEL_NAME": ("gpt", lambda settings: settings.model),
    "TARGET_HOST": ("http://b", lambda settings: settings.host),
    "MAX_ERROR_RATE": ("1%", lambda settings: settings.limits.max_error_rate),
    "MAX_5XX_RATE": ("0.01", lambda settings: settings.limits.max_5xx_rate),
    "MIN_STREAM_COMPLETION": ("99%", lambda settings: settings.limits.min_stream_completion),
    "MAX_CROSSING_LOST": ("2", lambda settings: settings.limits.max_crossing_lost),
    "MIN_CROSSING": ("10", lambda settings: settings.limits.min_crossing),
    "MAX_TTFT_P95": ("1.5", lambda settings: settings.limits.max_ttft_p95_s),
}


@pytest.mark.parametrize(("name", "found"), SEEDS.items(), ids=SEEDS)
def test_every_name_of_the_seed_counts_but_gives_way_to_ours(name, found):
    text, of = found
    own = next(option.source.envs[0] for option in ALL if name in option.source.envs)
    assert of(read(**{name: text})) == of(read(**{own: text}))
    assert of(read(**{name: text})) != of(read())
    other = {"MODEL_NAME": "other", "TARGET_HOST": "http://c"}.get(name, "0.5" if "RATE" in name else "1")
    assert of(read(**{name: other, own: text})) == of(read(**{own: text}))


def test_all_three_ways_of_our_own_names_by_strength(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("users: 3\nrun_time: 3m\nspawn_rate: 3\n")
    settings = read(
        *("--plan", str(plan), "-u", "1"), MIDSTREAM_USERS="2", MIDSTREAM_SPAWN_RATE="2", MIDSTREAM_SEED="7"
    )
    assert (settings.users, settings.spawn_rate, settings.run_time_s, settings.seed) == (1, 2.0, 180.0, 7)


def test_the_plan_may_come_from_the_environment(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("tokens: 9\n")
    assert read(*PLAIN, MIDSTREAM_PLAN=str(plan)).tokens == 9


def test_a_target_in_a_plan_is_a_target(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("host: http://b\n")
    assert read("--plan", str(plan)).mode is Mode.PLAIN
    plan.write_text("host:\n")
    with pytest.raises(UsageError, match=r"host in .*plan\.yaml: it is empty"):
        read("--plan", str(plan))


def test_inside_a_cluster_a_named_target_is_enough():
    assert read(*PLAIN, KUBERNETES_SERVICE_HOST="10.96.0.1").mode is Mode.PLAIN
    assert read(*ROLLOUT, KUBERNETES_SERVICE_HOST="10.96.0.1").mode is Mode.ROLLOUT


LENGTHS_OF_ONE_SOURCE = {
    "rehearsal": ((), {}, ""),
    "rollout": (ROLLOUT, {}, ""),
    "environment": (PLAIN, {"MIDSTREAM_TOKENS": "3", "MIDSTREAM_STREAM_SECONDS": "3"}, ""),
    "plan": (PLAIN, {}, "tokens: 3\nstream_seconds: 3\n"),
}


@pytest.mark.parametrize(
    ("target", "environ", "content"), LENGTHS_OF_ONE_SOURCE.values(), ids=LENGTHS_OF_ONE_SOURCE
)
def test_two_lengths_in_one_place_contradict(tmp_path, target, environ, content):
    typed = ["--tokens", "3", "--stream-seconds", "3"]
    if content:
        (tmp_path / "plan.yaml").write_text(content)
        typed = ["--plan", str(tmp_path / "plan.yaml")]
    with pytest.raises(UsageError, match=r"(?i)tokens.* and .*stream.seconds.*: give one of them"):
        read(*target, *(() if environ else typed), **environ)


def test_a_length_drops_the_other_kind_from_weaker_places(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("stream_seconds: 3\n")
    in_tokens = read(*ROLLOUT, "--plan", str(plan), "--tokens", "9")
    assert (in_tokens.tokens, in_tokens.stream_seconds) == (9, None)
    in_time = read(*ROLLOUT, "--stream-seconds", "9", MIDSTREAM_TOKENS="3")
    assert (in_time.tokens, in_time.stream_seconds) == (None, 9.0)
    rehearsed = read("--tokens", "9")  # against the rehearsal's own plan
    assert (rehearsed.tokens, rehearsed.stream_seconds) == (9, None)


NEEDS = {
    "set-image": ("--set-image", "vllm=repo:2"),
    "set-model": ("--set-model", "tiny"),
    "set-env": ("--set-env", "A=b"),
    "set-args": ("--set-args", "serve tiny"),
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_trigger_with_what_it_needs_is_taken_and_without_it_refused(trigger):
    target = ("--rollout", "a/b", "--trigger", trigger)
    needs = NEEDS.get(trigger, ())
    assert read(*target, *needs).trigger == trigger
    if needs:
        with pytest.raises(UsageError, match=f"--trigger {trigger} needs {needs[0]}"):
            read(*target)


BAD_TEXTS = {
    "command line": (["--baseline", "-3"], {}, "--baseline '-3': write a duration such as 90"),
    "environment": ([], {"MIDSTREAM_BASELINE": "soon"}, "MIDSTREAM_BASELINE=soon: write a duration"),
    "seed's variable": ([], {"MAX_ERROR_RATE": "5"}, "MAX_ERROR_RATE=5: write a share .*: 5%"),
    "users": (["-u", "0"], {}, "--users '0': write a whole number, 1 or more"),
    "one of several": (["--rehearsal-fault", "a", "--rehearsal-fault", ""], {}, "--rehearsal-fault .*empty"),
}


@pytest.mark.parametrize(("arguments", "environ", "words"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_bad_value_is_told_where_it_stands_with_what_to_type(arguments, environ, words):
    with pytest.raises(UsageError, match=words):
        read(*arguments, **environ)


BAD_PLANS = {
    "a list for one value": ("tokens: [1, 2]\n", "tokens in .*: give one value"),
    "a mapping": ("tokens: {a: 1}\n", "tokens in .*: write a whole number"),
    "no value": ("baseline:\n", "baseline in .*: write a duration"),
    "a plan in a plan": ("plan: other.yaml\n", "unknown key plan"),
}


@pytest.mark.parametrize(("content", "words"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_bad_line_of_a_plan_is_told_with_its_file(tmp_path, content, words):
    (tmp_path / "plan.yaml").write_text(content)
    with pytest.raises(UsageError, match=words):
        read("--plan", str(tmp_path / "plan.yaml"))


@pytest.mark.parametrize(
    "arguments",
    [("--pulse", "1"), ("--max-blackout", "0.3"), ("--max-blackout", "0")],
    ids=["too few pulses", "too short a limit", "no limit at all"],
)
def test_pulses_that_cannot_tell_their_limit_are_refused(arguments):
    with pytest.raises(UsageError, match=r"cannot tell a blackout.*--pulse 0"):
        read("--rollout", "a/b", "--trigger", "none", *arguments)


def test_no_pulses_are_no_contradiction():
    assert read("--rollout", "a/b", "--trigger", "none", "--pulse", "0", "--max-blackout", "0").pulse == 0


def test_an_open_loop_replaces_the_users_of_a_weaker_source():
    settings = read("--arrivals", "5", "--max-inflight", "50")
    assert settings.open_loop == OpenLoop(rate=5, ramp_up_s=10, most_open=50)
    assert settings.users == 1
    assert read().open_loop is None


def test_users_replace_the_open_loop_of_a_weaker_source():
    settings = read("-u", "7", MIDSTREAM_ARRIVALS="5")
    assert (settings.users, settings.open_loop) == (7, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--arrivals", "5", "-u", "7"), "contradict", id="users and arrivals"),
        pytest.param(("--max-inflight", "5"), "add --arrivals RATE", id="a cap without arrivals"),
        pytest.param(("--ramp-up", "5"), "add --arrivals RATE", id="a ramp without arrivals"),
    ],
)
def test_contradictions_of_the_open_loop(arguments, words):
    with pytest.raises(UsageError, match=words):
        read(*arguments)
