from collections.abc import Iterator

import pytest

from midstream.streams.reactor import Reactor
from tests.midstream.streams.reactor.driving import running


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with running() as one:
        yield one
