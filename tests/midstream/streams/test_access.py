"""What the options about connections are read as."""

import pytest

from midstream.streams.access import Access, Header, Proxy, Resolve

RESOLVED = {
    "IPv4": ("llm.example:443:10.0.0.7", Resolve("llm.example", 443, "10.0.0.7")),
    "IPv6 in brackets": ("LLM.example:80:[fd00::7]", Resolve("llm.example", 80, "fd00::7")),
}


@pytest.mark.parametrize(("text", "entry"), RESOLVED.values(), ids=RESOLVED)
def test_resolve(text, entry):
    assert Resolve.parse(text) == entry


@pytest.mark.parametrize(
    "text", ["", "a:443", "a:0:10.0.0.1", "a:70000:10.0.0.1", "a:443:b.example", ":1:::1"]
)
def test_resolve_says_what_to_type(text):
    with pytest.raises(ValueError, match="HOST:PORT:ADDRESS"):
        Resolve.parse(text)


def test_addresses_of_a_name_in_their_order():
    texts = ("a.example:443:10.0.0.2", "a.example:443:10.0.0.1", "a.example:80:10.0.0.3")
    access = Access(resolve=tuple(map(Resolve.parse, texts)))
    assert access.addresses("A.example", 443) == ("10.0.0.2", "10.0.0.1")
    assert access.addresses("b.example", 443) == ()


def test_a_header_is_shown_without_its_value():
    header = Header.parse("X-Key:  se:cret ")
    assert header == ("X-Key", "se:cret")
    assert "cret" not in repr(header) + str((header,))


@pytest.mark.parametrize("text", ["secret", ": secret", "X-Key: "])
def test_a_bad_header_is_not_shown(text):
    with pytest.raises(ValueError, match="NAME: VALUE") as refused:
        Header.parse(text)
    assert "secret" not in str(refused.value)


PROXIES = {
    "as in most environments": ("http://proxy.example:3128", ("proxy.example", 3128, "")),
    "without a scheme": ("proxy.example:3128", ("proxy.example", 3128, "")),
    "without a port": ("http://proxy.example", ("proxy.example", 80, "")),
    "IPv6": ("http://[fd00::7]:3128/", ("fd00::7", 3128, "")),
    "with a login": ("http://ada:p%40ss@p:1", ("p", 1, "Basic YWRhOnBAc3M=")),  # RFC 7617
    "with a user alone": ("ada@p:1", ("p", 1, "Basic YWRhOg==")),
}


@pytest.mark.parametrize(("text", "proxy"), PROXIES.values(), ids=PROXIES)
def test_proxy(text, proxy):
    assert Proxy.parse(text) == proxy


@pytest.mark.parametrize(
    "text", ["socks5://u:secret@p:1", "https://u:secret@p:1", "http://u:secret@", "http://p:x"]
)
def test_a_proxy_that_cannot_be_used_is_not_shown(text):
    with pytest.raises(ValueError, match=r"http://\[USER:PASSWORD@\]HOST") as refused:
        Proxy.parse(text)
    assert "secret" not in str(refused.value)


def test_a_proxy_is_shown_without_its_login():
    access = Access(https_proxy="http://ada:secret@p:1")
    assert "secret" not in f"{access!r} {access.proxy('https', 'a.example', 443)!r}"


WAYS = {
    "https": ("https", "a.example", 443, "", True),
    "plain http goes direct": ("http", "a.example", 80, "", False),
    "this machine by name": ("https", "localhost", 443, "", False),
    "this machine by address": ("https", "127.20.1.2", 443, "", False),
    "this machine by IPv6": ("https", "::1", 443, "", False),
    "all exempt": ("https", "a.example", 443, "*", False),
    "exempt by name": ("https", "a.example", 443, "b.example, a.example", False),
    "exempt by the end of its name": ("https", "x.a.example", 443, ".a.example", False),
    "another that ends alike": ("https", "xa.example", 443, "a.example", True),
    "exempt with its port": ("https", "a.example", 443, "a.example:443", False),
    "another port": ("https", "a.example", 8443, "a.example:443", True),
    "exempt by network": ("https", "10.1.2.3", 443, "10.0.0.0/8", False),
    "another network": ("https", "11.1.2.3", 443, "10.0.0.0/8", True),
    "exempt by address": ("https", "fd00::7", 443, "fd00::7", False),
}


@pytest.mark.parametrize(("scheme", "host", "port", "no_proxy", "used"), WAYS.values(), ids=WAYS)
def test_which_way(scheme, host, port, no_proxy, used):
    access = Access(https_proxy="http://proxy.example:3128", no_proxy=no_proxy)
    assert (access.proxy(scheme, host, port) is not None) is used


@pytest.mark.parametrize("text", ["", "  "])
def test_no_proxy_is_named(text):
    assert Access(https_proxy=text).proxy("https", "a.example", 443) is None
