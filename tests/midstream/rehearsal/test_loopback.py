"""Ranges of loopback addresses: one owner each, and a port that nobody has."""

import random
import socket

import pytest

from midstream.rehearsal import loopback
from midstream.rehearsal.loopback import NoLoopbackError, take


def test_a_range_has_one_owner_at_a_time() -> None:
    first = take(random.Random(7))
    second = take(random.Random(7))
    assert first.prefix != second.prefix
    first.release()
    third = take(random.Random(7))
    assert third.prefix == first.prefix
    for range_ in (second, third):
        range_.release()


def test_no_two_things_in_a_range_share_an_address() -> None:
    range_ = take()
    pods = range_.pods()
    round_of_pods = [next(pods) for _ in range(223)]
    everyone = [range_.api, *range_.services, *round_of_pods]
    assert len(set(everyone)) == len(everyone) == 254
    assert next(pods) == round_of_pods[0]
    range_.release()


def test_a_port_that_someone_holds_on_every_address_is_not_used(monkeypatch) -> None:
    with socket.create_server(("0.0.0.0", 0)) as holder, socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
        monkeypatch.setattr(loopback, "PORTS", (holder.getsockname()[1], free))
        range_ = take()
    assert range_.port == free
    range_.release()


def test_without_any_range_it_says_why(monkeypatch) -> None:
    def refused(address: str, port: int) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(loopback, "_bind", refused)
    with pytest.raises(NoLoopbackError, match=r"no free loopback range .* Cannot assign requested address"):
        take()
