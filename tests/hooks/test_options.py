"""How command line, environment and plans become one Settings."""

import argparse
from pathlib import Path

import pytest

from hooks.layers import UsageError
from hooks.options import (
    LOCUST_OPTIONS,
    OPTIONS,
    PROJECT,
    REHEARSAL_PLAN,
    Mode,
    Settings,
    add_options,
    read_settings,
)
from midstream.promotion import Promoter

PLANS = {"rehearsal.yaml", "quick.yaml"}


LOCUSTS = {"--users": "num_users", "--spawn-rate": "spawn_rate", "--run-time": "run_time", "--host": "host"}
# Where any text but "1" is needed.
TEXTS = {
    "trigger": "none",
    "plan": str(REHEARSAL_PLAN),
    "promoter": "person",
    "api": "chat",
    "set_image": "a=b",
    "set_env": "a=b",
    "rollout": "a/b",
    "require_drain": "yes",
}


def read(*arguments: str, **environ: str) -> Settings:
    return read_settings(parse(*arguments), environ)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    for flag, attribute in LOCUSTS.items():
        parser.add_argument(flag, dest=attribute)
    parser.add_argument("--headless", action="store_true", default=True)
    return parser.parse_args(arguments)


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
    parsed = parse()
    parsed.headless = False
    settings = read_settings(parsed, {})
    assert settings.trigger == "none"
    assert settings.promoter is Promoter.PERSON


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_a_variable_and_a_line_of_a_plan(option, tmp_path):
    text = TEXTS.get(option.name, "1")
    target = [] if option.group == "the rehearsal" else ["--rollout", "a/b", "--trigger", "none"]
    by_environment = read(*target, **{f"MIDSTREAM_{option.name.upper()}": text})
    if option.name != "plan":  # a plan names no other
        plan = tmp_path / "plan.yaml"
        plan.write_text(f"{option.name}: '{text}'\n")
        assert read(*target, "--plan", str(plan)) == by_environment


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
    words = set(Path(PROJECT / "README.md").read_text().replace("`", " ").split())
    named = {word.strip(".,()") for word in words if word.startswith("--")}
    known = {option.source.flag for option in (*OPTIONS, *LOCUST_OPTIONS)}
    assert named <= known | {"--headless", "--help-midstream"}
