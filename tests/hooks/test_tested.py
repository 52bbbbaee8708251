"""What is asked of a server before the load."""

import pytest

from hooks.settings import Mode, Settings
from hooks.tested import _choose_model, _served, shown_command
from midstream.streams.probe import ModelUnknownError, ServedModel
from midstream.streams.secret import Secrets
from midstream.streams.target import Target

TARGET = Target.parse("http://127.0.0.1:8000")


class Listing:
    """A server's answer to /v1/models."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def ask(self, target, method, path, timeout_s):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def settings(model: str | None) -> Settings:
    return Settings(mode=Mode.PLAIN, users=1, spawn_rate=1, model=model)


def test_a_named_model_needs_no_list():
    named = settings("m")
    served = _served(named, Listing((404, b"nothing here")), TARGET)
    assert _choose_model(named, served, None) == ServedModel("m", None)


def test_without_a_name_the_list_is_needed():
    with pytest.raises(ModelUnknownError, match="--model"):
        _served(settings(None), Listing((404, b"nothing here")), TARGET)


def test_a_server_that_does_not_answer_is_told_at_once():
    with pytest.raises(ModelUnknownError, match="refused"):
        _served(settings("m"), Listing(ConnectionRefusedError("refused")), TARGET)


KEY_COMMAND = "python3 fetch.py --password s3cr3t"
SHOWN = {
    "as a word of its own": (["--api-key-command", KEY_COMMAND], ["--api-key-command", "***"]),
    "behind an equals sign": ([f"--api-key-command={KEY_COMMAND}"], ["--api-key-command=***"]),
    "a header's value": (["--header", "X-Key: k3y-of-ours"], ["--header", "X-Key: ***"]),
    "what only begins alike": (["python3 -m locust", "-u", "4"], ["python3 -m locust", "-u", "4"]),
}


@pytest.mark.parametrize(("command", "shown"), SHOWN.values(), ids=SHOWN)
def test_the_command_is_shown_without_secrets(command, shown):
    given = Settings(mode=Mode.PLAIN, users=1, spawn_rate=1, api_key_command=KEY_COMMAND)
    assert list(shown_command(tuple(command), given, Secrets(["k3y-of-ours"]))) == shown
