"""What a server echoes of a key is starred in every form of it."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.streams.ending import Ending
from midstream.streams.record import Evidence
from midstream.streams.secret import Secrets
from tests.midstream.builders import stream

KEY = "s3cr3t-k3y/0123456789"
ECHOES = {
    "bare": f"no such key: {KEY}.",
    "twice": f"{KEY} {KEY}",
    "with its scheme": f"got 'Bearer {KEY}'",
    "in JSON": '{"error": "' + KEY.replace("/", "\\/") + '"}',
    "in a URL": "key=s3cr3t-k3y%2F0123456789",
    "in base64": b64encode(KEY.encode()).decode(),
    "cut at its end": f"no such key: {KEY[:-3]}' (more)",
    "cut at its begin": f"{KEY[5:]} is unknown",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_an_echo_is_starred(echo):
    shown = Secrets([f"Bearer {KEY}"]).hide(echo)
    assert "***" in shown
    assert "s3cr3t" not in shown
    assert "456789" not in shown


def test_a_proxys_password():
    login = b64encode(b"user:hunter222").decode()
    secrets = Secrets([f"Basic {login}"])
    assert secrets.hide(f"wrong password hunter222 ({login})") == "wrong password *** (***)"


def test_a_renewed_key_is_hidden_beside_the_first():
    secrets = Secrets(["first-key"])
    secrets.add("second-key")
    assert secrets.hide("first-key, second-key") == "***, ***"


def test_what_is_too_short_to_be_a_secret_stays():
    assert Secrets(["abc"]).hide("abc") == "abc"


def test_a_record():
    dirty = stream(Ending.HTTP_4XX, evidence=Evidence(last_bytes=f"x {KEY}", error=f"401: {KEY}"))
    clean = Secrets([KEY]).cleaned(dirty)
    assert (clean.evidence.last_bytes, clean.evidence.error) == ("x ***", "401: ***")
    assert Secrets(["other"]).cleaned(dirty) is dirty


def test_repr_shows_nothing():
    assert KEY not in repr(Secrets([KEY]))


@given(st.text(alphabet="ab*", min_size=4, max_size=12), st.text(alphabet="ab", max_size=40))
def test_no_whole_secret_is_left(secret, text):
    shown = Secrets([secret]).hide(text)
    assert secret.strip() not in shown or set(secret) == {"*"} or len(secret.strip()) < 4
