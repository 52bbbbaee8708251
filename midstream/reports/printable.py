"""Words from outside as a terminal may be given them: nothing in them steers it."""


def printable(words: str) -> str:
    """Control and format characters escaped, line breaks kept: servers' words must not steer a terminal."""
    if words.isprintable():
        return words
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in words
    )


def one_line(words: str, encoding: str) -> str:
    """The same on one line; what the encoding cannot hold is escaped too, so that its width is known."""
    return " ".join(printable(words).split()).encode(encoding, "backslashreplace").decode(encoding)
