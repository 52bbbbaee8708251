"""What is asked of a server before the load."""

import pytest

from hooks.options import Mode, Settings
from hooks.tested import _choose_model, _served
from midstream.streams.probe import ModelUnknownError, ServedModel
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
