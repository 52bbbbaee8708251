"""What the options about connections are read as."""

import pytest

from midstream.streams.access import Access, Header, Resolve

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
