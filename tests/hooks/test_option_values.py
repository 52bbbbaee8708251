"""What people may type, and what they are told otherwise."""

import pytest

from hooks import option_values as values

GOOD = [
    (values.seconds, "90", 90.0),
    (values.seconds, "90s", 90.0),
    (values.seconds, "2m", 120.0),
    (values.seconds, "1h", 3600.0),
    (values.seconds, "1.5h", 5400.0),
    (values.seconds, "500ms", 0.5),
    (values.seconds, "0", 0.0),
    (values.share, "5%", 0.05),
    (values.share, "0.05", 0.05),
    (values.share, "100%", 1.0),
    (values.share, "1", 1.0),
    (values.count, "0", 0),
    (values.positive_count, "80", 80),
    (values.positive_number, "0.5", 0.5),
    (values.yes_no, "yes", True),
    (values.yes_no, "no", False),
    (values.namespaced_name, "llm-serving/vllm", ("llm-serving", "vllm")),
    (values.assignment, "vllm=repo/image:tag=x", ("vllm", "repo/image:tag=x")),
]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_reads(parse, text, value):
    assert parse(text) == value


BAD = [
    (values.seconds, "-3", "such as 90, 90s, 2m or 1h"),
    (values.seconds, "2 minutes", "such as 90, 90s, 2m or 1h"),
    (values.seconds, "1d", "such as 90"),
    (values.positive_seconds, "0", "above 0"),
    (values.share, "5", "5%"),
    (values.share, "-1%", "5% or 0.05"),
    (values.share, "120%", "from 0 to 1"),
    (values.share, "nan", "5% or 0.05"),
    (values.count, "-1", "0 or more"),
    (values.count, "1.5", "whole number"),
    (values.positive_count, "0", "1 or more"),
    (values.positive_count, "-5", "1 or more"),
    (values.positive_number, "0", "above 0"),
    (values.positive_number, "inf", "above 0"),
    (values.text, "  ", "empty"),
    (values.yes_no, "true", "yes, no"),
    (values.namespaced_name, "vllm", "NAMESPACE/NAME"),
    (values.namespaced_name, "a/b/c", "NAMESPACE/NAME"),
    (values.namespaced_name, "A/b", "NAMESPACE/NAME"),
    (values.assignment, "image", "NAME=VALUE"),
    (values.assignment, "=image", "NAME=VALUE"),
]


@pytest.mark.parametrize(("parse", "text", "words"), BAD)
def test_says_what_to_type_instead(parse, text, words):
    with pytest.raises(values.BadValueError, match=words):
        parse(text)
