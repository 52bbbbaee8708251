"""Where the API key comes from, and that what a command printed is shown nowhere."""

import shlex
import sys

import gevent
import pytest

from hooks.api_key import keep_key_fresh, read_key
from hooks.layers import UsageError
from hooks.options import Settings, read_settings
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


def test_the_key_is_renewed_and_the_last_one_stays_when_that_fails(tmp_path):
    file = tmp_path / "key"
    file.write_text("first")
    used: list[str] = []
    said: list[str] = []
    settings = printing(f"print(open({str(file)!r}).read())")
    greenlet = gevent.spawn(keep_key_fresh, settings, used.append, said.append, 0.01)
    try:
        with gevent.Timeout(20):
            while not used:
                gevent.sleep(0.01)
            file.write_text("second")
            while used[-1] != "second":
                gevent.sleep(0.01)
            file.unlink()
            while not said:
                gevent.sleep(0.01)
    finally:
        greenlet.kill()
    assert said[0].endswith("the last key stays in use")
    assert set(used) == {"first", "second"}


def test_a_target_with_another_key():
    target = Target.parse("http://a", {"authorization": "Bearer old", "X-Team": "search"})
    assert target.with_header("Authorization", "Bearer new").headers == (
        ("X-Team", "search"),
        ("Authorization", "Bearer new"),
    )
