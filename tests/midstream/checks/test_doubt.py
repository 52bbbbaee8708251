import pytest

from midstream.checks.doubt import is_doubtful
from midstream.run import LateSpell
from midstream.streams.ending import Ending
from tests.midstream.builders import ns, run, stream

# A stream that fell silent at 100 s and was given up 20 s later: 20 % of the idle limit are 4 s.
STALLED = stream(Ending.STALLED, at=90, lasts=30, last_token_ns=ns(100))


def late(*spells):
    return tuple(LateSpell(from_ns=ns(since), to_ns=ns(until)) for since, until in spells)


@pytest.mark.parametrize(
    ("record", "spells", "doubtful"),
    [
        pytest.param(STALLED, (), False, id="we were never late"),
        pytest.param(STALLED, late((110, 114)), False, id="late by 20 % of the limit"),
        pytest.param(STALLED, late((110, 114.1)), True, id="late by more than 20 % of the limit"),
        pytest.param(STALLED, late((105, 107.1), (110, 112)), True, id="two spells add up"),
        pytest.param(STALLED, late((90, 100)), False, id="late before the last wait"),
        pytest.param(STALLED, late((90, 104)), False, id="only the part within the wait counts"),
        pytest.param(STALLED, late((118, 130)), False, id="late after its end"),
        pytest.param(
            stream(Ending.ABORTED, at=90, lasts=30), late((90, 120)), False, id="the server wrote it itself"
        ),
        pytest.param(stream(Ending.RESET, at=90, lasts=30), late((90, 120)), False, id="the server reset it"),
        pytest.param(
            stream(Ending.NO_FIRST_TOKEN, at=50, lasts=60, headers_ns=ns(51)),
            late((60, 73)),
            True,
            id="no token",
        ),
        pytest.param(stream(Ending.NO_HEADERS, at=90, lasts=30), late((95, 102)), True, id="no head"),
        pytest.param(
            stream(Ending.CONNECT_TIMEOUT, at=90, lasts=10, sent_ns=None),
            late((95, 97.1)),
            True,
            id="no connection",
        ),
        pytest.param(stream(Ending.TIMED_OUT, at=0, lasts=900), late((100, 300)), True, id="not over"),
    ],
)
def test_only_limits_of_ours_can_be_our_own_delay(record, spells, doubtful):
    assert is_doubtful(record, run([record], late=spells)) is doubtful
