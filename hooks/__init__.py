"""Glue between Locust and the core; `install` registers every listener, in their order."""

from weakref import WeakSet

from locust.event import Events

from hooks.help_pages import add_help_pages
from hooks.lifecycle import Lifecycle, end_start_up_cleanly
from hooks.options import add_options

_INSTALLED: "WeakSet[Events]" = WeakSet()


def install(events: Events) -> None:
    """Register all that a test needs; a locustfile calls it with `locust.events`, several do no harm."""
    if events in _INSTALLED:
        return
    _INSTALLED.add(events)
    end_start_up_cleanly()
    lifecycle = Lifecycle()
    events.init_command_line_parser.add_listener(add_options)
    events.init_command_line_parser.add_listener(add_help_pages)
    events.init.add_listener(lifecycle.on_init)
    events.test_start.add_listener(lifecycle.on_test_start)
    events.user_error.add_listener(lifecycle.on_user_error)
    events.test_stopping.add_listener(lifecycle.on_test_stopping)
    events.test_stop.add_listener(lifecycle.on_test_stop)
    events.quitting.add_listener(lifecycle.on_quitting)
    events.quit.add_listener(lifecycle.on_quit)
