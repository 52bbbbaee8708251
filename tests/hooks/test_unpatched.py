"""The tests of the hooks leave the process as they found it."""

import os

import locust
from gevent import monkey

import hooks.user


def test_the_hooks_are_imported_without_a_patched_process():
    assert issubclass(hooks.user.StreamUser, locust.User)
    assert not monkey.is_anything_patched()
    assert "LOCUST_SKIP_MONKEY_PATCH" not in os.environ
