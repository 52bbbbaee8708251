"""Where the API key comes from, and that what a command printed is shown nowhere."""

import json
import math
import shlex
import sys
import traceback
from base64 import urlsafe_b64encode
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from hooks import api_key
from hooks.api_key import keep_key_fresh, read_key, renewal_s
from hooks.layers import UsageError
from hooks.read_settings import read_settings
from hooks.settings import Settings
from midstream.streams.target import Target
from tests.hooks.command_line import parse

SECRET = "s3cr3t-k3y"


def printing(code: str) -> Settings:
    command = shlex.join([sys.executable, "-c", code])
    return read_settings(parse("--host", "http://127.0.0.1:1", "--api-key-command", command), {})


def test_the_key_that_a_command_prints():
    assert read_key(printing(f"print('{SECRET}')"), {}) == SECRET


BAD = {
    "fails": f"print('{SECRET}'); raise SystemExit(4)",
    "prints more than a key": f"print('{SECRET} {SECRET}')",
    "prints nothing": "",
    "prints no text": "import sys; sys.stdout.buffer.write(b'\\xff')",
}


@pytest.mark.parametrize("code", BAD.values(), ids=BAD)
def test_a_command_that_gives_no_key(code):
    with pytest.raises(UsageError, match="--api-key-command") as refused:
        read_key(printing(code), {})
    assert SECRET not in str(refused.value)


def test_a_command_that_is_not_there():
    settings = read_settings(parse("--host", "http://a", "--api-key-command", "/nowhere/key"), {})
    with pytest.raises(UsageError, match="cannot be run: No such file"):
        read_key(settings, {})


UNSENDABLE = {"a line end": "k3y\rX-Other: 1", "NUL": "k3y\x00", "no Latin-1": "k3y\u2019", "DEL": "k3y\x7f"}


@pytest.mark.parametrize("key", UNSENDABLE.values(), ids=UNSENDABLE)
def test_a_key_that_no_header_can_hold(key):
    by_environment = read_settings(parse("--host", "http://a", "--api-key-env", "LLM_KEY"), {})
    with pytest.raises(UsageError, match=r"--api-key-env LLM_KEY.*no header may hold") as refused:
        read_key(by_environment, {"LLM_KEY": key})
    assert "k3y" not in str(refused.value)


@pytest.mark.parametrize("key", ["k3y\\0", "k3y\\x7f"], ids=["NUL", "DEL"])
def test_a_command_that_prints_what_no_header_can_hold(key):
    with pytest.raises(UsageError, match=r"--api-key-command.*no header may hold") as refused:
        read_key(printing(f"print('{key}')"), {})
    assert "k3y" not in str(refused.value)


NOT_RUN = {
    "takes too long": "import time; time.sleep(60)",
    "prints no text": "import sys; sys.stdout.buffer.write(b'k3y\\xff')",
}


@pytest.mark.parametrize("code", NOT_RUN.values(), ids=NOT_RUN)
def test_no_error_carries_the_command_or_its_output(code, monkeypatch):
    monkeypatch.setattr(api_key, "COMMAND_LIMIT_S", 2.0)
    with pytest.raises(UsageError) as refused:
        read_key(printing(code), {})
    shown = "".join(traceback.format_exception(refused.value))
    assert "k3y" not in shown
    assert code not in shown
    assert refused.value.__suppress_context__


def jwt(claims: object) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([urlsafe_b64encode(part).decode().rstrip("=") for part in parts] + ["c2ln"])


NOW_S = 1_790_000_000.0
RENEWALS = {
    "a JWT of ten minutes": (jwt({"exp": NOW_S + 600}), 300.0),
    "a JWT of a minute": (jwt({"exp": NOW_S + 60}), 48.0),
    "a fraction of a second": (jwt({"exp": NOW_S + 30.5}), 24.4),
    "about to end": (jwt({"exp": NOW_S + 1}), 1.0),
    "over": (jwt({"exp": NOW_S - 60}), 1.0),
    "without an end": (jwt({"sub": "me"}), 300.0),
    "an end in words": (jwt({"exp": "tomorrow"}), 300.0),
    "an end that is true": (jwt({"exp": True}), 300.0),
    "an end never to come": (jwt({"exp": 10**400}), 300.0),
    "no number": (jwt({"exp": math.nan}), 300.0),
    "a list of claims": (jwt(["exp"]), 300.0),
    "a number of claims": (jwt(7), 300.0),
    "three words": ("a.b.c", 300.0),
    "three words of other letters": ("ä.ä.ä", 300.0),
    "five parts": (f"{jwt({'exp': NOW_S + 60})}.x.y", 300.0),
    "an opaque key": ("sk-none", 300.0),
    "nothing": ("", 300.0),
}


@pytest.mark.parametrize(("key", "wait_s"), RENEWALS.values(), ids=RENEWALS)
def test_when_another_key_is_asked_for(key, wait_s):
    assert renewal_s(key, NOW_S) == pytest.approx(wait_s)


class Script(Event):  # type: ignore[misc] # gevent has no types for it
    """The event of a run on a clock of its own: what happens in each wait, then the end."""

    def __init__(self, *turns: tuple[str | None, float | None]) -> None:
        """For each wait what the command prints after it, None: it fails; and when a stream is refused."""
        super().__init__()
        self.turns = list(turns)
        self.now_s = 0.0
        self.ran_s = [0.0]
        self.file: Path
        self._next: str | None = None

    def wait(self, timeout: float) -> bool:
        if not self.turns:
            raise gevent.GreenletExit
        self._next, refused_s = self.turns.pop(0)
        if refused_s is not None:
            assert refused_s < timeout
            self.set()
            self.now_s += refused_s
            return True
        self.now_s += timeout
        self._run()
        return False

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self._run()

    def _run(self) -> None:
        self.ran_s.append(self.now_s)
        if self._next is None:
            self.file.unlink()
        else:
            self.file.write_text(self._next)


def kept_fresh(script: Script, first: str, folder: Path) -> tuple[list[str], list[str]]:
    """The keys used with what was said."""
    script.file = folder / "key"
    script.file.write_text(first)
    used: list[str] = []
    said: list[str] = []
    settings = printing(f"print(open({str(script.file)!r}).read())")
    with pytest.raises(gevent.GreenletExit):
        keep_key_fresh(
            settings,
            used.append,
            said.append,
            script,
            clock=lambda: script.now_s,
            wall_clock=lambda: NOW_S + script.now_s,
            sleep=script.sleep,
        )
    return used, said


def ending_in(seconds: float) -> str:
    return jwt({"exp": NOW_S + seconds})


RUNS = {
    "opaque keys": (Script(("b", None), ("c", None)), "a", [0, 300, 600]),
    "JWTs before their end": (Script((ending_in(148), None), ("c", None)), ending_in(60), [0, 48, 128]),
    "refused after long": (Script(("b", 40.0)), "a", [0, 40]),
    "refused at once waits": (Script(("b", 0.5)), "a", [0, 10]),
    "refused for ever": (Script(("b", 0.5), ("c", 0.5), ("d", 0.5)), "a", [0, 10, 20, 30]),
    "refused shortly before the end": (Script(("b", 1.0)), ending_in(4), [0, 3.2]),
    "refused, then in its time": (Script(("b", 40.0), ("c", None)), "a", [0, 40, 340]),
}


@pytest.mark.parametrize(("script", "first", "ran_s"), RUNS.values(), ids=RUNS)
def test_when_the_command_is_run(script, first, ran_s, tmp_path):
    printed = [first, *(key for key, _ in script.turns)]
    assert kept_fresh(script, first, tmp_path) == (printed, [])
    assert script.ran_s == pytest.approx(ran_s)


def test_a_refusal_during_the_run_asks_for_no_other(tmp_path):
    script = Script(("b", None))
    script.set()
    used, _ = kept_fresh(script, "a", tmp_path)
    assert used == ["a", "b"]
    assert not script.is_set()


FAILURES = {
    "fails": (None, "ended with code 1"),
    "prints nothing": ("", "printed 0 words"),
    "prints what no header can hold": ("k3y\0", "no header may hold"),
}


@pytest.mark.parametrize(("printed", "words"), FAILURES.values(), ids=FAILURES)
def test_the_last_key_stays_in_use_where_the_command_fails(printed, words, tmp_path):
    script = Script((printed, None), ("second", None))
    used, said = kept_fresh(script, ending_in(5), tmp_path)
    assert used == [ending_in(5), "second"]
    assert len(said) == 1
    assert words in said[0]
    assert said[0].endswith("the last key stays in use")
    assert "k3y" not in said[0]
    assert script.ran_s == pytest.approx([0, 4, 14])  # a command that fails is not pressed


def test_a_stream_refused_wakes_it_without_a_script(tmp_path):
    (tmp_path / "key").write_text("first")
    used: list[str] = []
    refused = Event()
    settings = printing(f"print(open({str(tmp_path / 'key')!r}).read())")
    greenlet = gevent.spawn(keep_key_fresh, settings, used.append, used.append, refused, sleep=lambda _: None)
    try:
        with gevent.Timeout(20):
            while used != ["first"]:
                gevent.sleep(0.01)
            (tmp_path / "key").write_text("second")
            refused.set()
            while used != ["first", "second"]:
                gevent.sleep(0.01)
    finally:
        greenlet.kill()


def test_a_target_with_another_key():
    target = Target.parse("http://a", {"authorization": "Bearer old", "X-Team": "search"})
    assert target.with_header("Authorization", "Bearer new").headers == (
        ("X-Team", "search"),
        ("Authorization", "Bearer new"),
    )
