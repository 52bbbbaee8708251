"""When an early stop is how a server ends, and when it is a loss."""

import pytest

from midstream.contract import stops_early, without_contract
from midstream.streams.ending import Ending
from tests.midstream.builders import stream


def early(count):
    return [stream(Ending.SHORT, finish_reason="stop", tokens=5, asked_tokens=9) for _ in range(count)]


def whole(count):
    return [stream(Ending.COMPLETE) for _ in range(count)]


CASES = {
    "none ended": ([], False),
    "all whole": (whole(80), False),
    "every one stops early": (early(5), True),
    "rare early stops are losses": ([*early(20), *whole(80)], False),
    "more than a fifth": ([*early(21), *whole(79)], True),
    "too few to be a rule": ([*early(2), *whole(1)], False),
    "other losses do not count": ([*early(2), *[stream(Ending.ABORTED)] * 9], False),
    "short for another reason": ([stream(Ending.SHORT, finish_reason="length")] * 9, False),
}


@pytest.mark.parametrize(("records", "rule"), CASES.values(), ids=CASES)
def test_rule_or_loss(records, rule):
    assert stops_early(records) is rule


def test_only_early_stops_are_read_anew():
    others = [stream(Ending.SHORT, finish_reason="length"), stream(Ending.ABORTED), *whole(1)]
    read = without_contract([*early(1), *others])
    assert read[0].ending is Ending.COMPLETE
    assert read[0].tokens == 5
    assert list(read[1:]) == others
