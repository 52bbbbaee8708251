"""What requests carry beside their own, and that no secret of it is shown."""

import re

import pytest

from hooks.layers import UsageError
from hooks.options import read_settings
from hooks.tested import request_headers, without_secrets
from tests.hooks.command_line import parse

HOST = ("--host", "http://127.0.0.1:1")
SECRET = "s3cr3t-k3y"


def test_headers_with_the_key_of_a_variable():
    settings = read_settings(parse(*HOST, "--header", "X-Team: search", "--api-key-env", "KEY"), {})
    headers = request_headers(settings, {"KEY": f"{SECRET}\n"})
    assert headers == {"X-Team": "search", "Authorization": f"Bearer {SECRET}"}


def test_a_variable_without_a_key():
    settings = read_settings(parse(*HOST, "--api-key-env", "KEY"), {})
    with pytest.raises(UsageError, match="export KEY=KEY"):
        request_headers(settings, {"KEY": " "})


@pytest.mark.parametrize(
    "command",
    [("--header", f"X-Key: {SECRET}"), (f"--head=X-Key:{SECRET}",), ("--api-key-command", f"echo {SECRET}")],
)
def test_the_command_is_shown_without_secrets(command):
    for value in (SECRET, f"Bearer {SECRET}"):
        assert SECRET not in " ".join(without_secrets(("locust", *command), [value]))


def test_a_header_is_secret_in_settings_and_refusals():
    settings = read_settings(parse(*HOST, "--header", f"X-Key: {SECRET}"), {})
    assert SECRET not in repr(settings)
    for arguments, environ in ((("--header", SECRET), {}), ((), {"MIDSTREAM_HEADER": SECRET})):
        with pytest.raises(UsageError, match=re.escape("NAME: VALUE")) as refused:
            read_settings(parse(*HOST, *arguments), environ)
        assert SECRET not in str(refused.value)
