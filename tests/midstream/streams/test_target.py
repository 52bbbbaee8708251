import pytest

from midstream.streams.target import Target

PARSED = {
    "http://h": ("h", 80, "", "h", "/v1/completions"),
    "http://h:8000": ("h", 8000, "", "h:8000", "/v1/completions"),
    "http://h:8000/": ("h", 8000, "", "h:8000", "/v1/completions"),
    "https://h": ("h", 443, "", "h", "/v1/completions"),
    "http://h:443": ("h", 443, "", "h:443", "/v1/completions"),
    "https://h/llm/": ("h", 443, "/llm", "h", "/llm/v1/completions"),
    "http://h/v1": ("h", 80, "/v1", "h", "/v1/completions"),
    "http://h/team/v1/": ("h", 80, "/team/v1", "h", "/team/v1/completions"),
    "http://[::1]:8000": ("::1", 8000, "", "[::1]:8000", "/v1/completions"),
    " http://127.0.0.1:80 ": ("127.0.0.1", 80, "", "127.0.0.1", "/v1/completions"),
}


@pytest.mark.parametrize(("url", "parts"), PARSED.items(), ids=PARSED)
def test_url_taken_apart(url, parts):
    target = Target.parse(url)
    path = target.stream_path("completions")
    assert (target.host, target.port, target.prefix, target.authority, path) == parts


def test_chat_and_models_have_their_paths():
    target = Target.parse("http://h/x")
    assert target.stream_path("chat") == "/x/v1/chat/completions"
    assert target.path("models") == "/x/v1/models"


WRONG = ["", "h", "h:8000", "localhost:8000", "ftp://h", "http://", "http://:80", "http://h:x", "http://h:0"]
WRONG += [
    "http://h:99999",
    "http://u:p@h",
    "http://h/?q=1",
    "http://h/#x",
    "http://a b",
    "http://h/a b",
    "http://[::1",
]
WRONG += ["http://h/\r\nX: y"]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_url_says_what_to_type(url):
    with pytest.raises(ValueError, match=r"type http\(s\)://HOST"):
        Target.parse(url)


def test_password_in_a_url_is_not_repeated():
    with pytest.raises(ValueError, match="holds a user") as failure:
        Target.parse("http://me:secret@h")
    assert "secret" not in str(failure.value)


BAD_HEADERS = {
    "X Y": "a",
    "X\r\nY": "a",
    "X": "a\r\nb",
    "": "a",
    "Content-Length": "3",
    "connection": "close",
}


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS.items(), ids=map(repr, BAD_HEADERS))
def test_headers_that_would_break_the_request_are_refused(name, value):
    with pytest.raises(ValueError, match="header"):
        Target.parse("http://h", {name: value})


def test_a_header_value_is_never_shown():
    target = Target.parse("http://h", {"Authorization": "Bearer secret"})
    assert "secret" not in repr(target)
    assert "Authorization" in repr(target)


def test_own_headers_win_over_ours_and_host():
    target = Target.parse("http://127.0.0.1:80", {"Host": "llm.example", "accept": "*/*"})
    assert target.request_headers({"Accept": "text/event-stream", "X": "1"}) == [
        ("Host", "llm.example"),
        ("accept", "*/*"),
        ("X", "1"),
    ]
