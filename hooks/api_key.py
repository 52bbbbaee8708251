"""Where the API key comes from: a variable of the environment, or a command run again before it expires."""

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping

import gevent

from hooks.layers import UsageError
from hooks.options import Settings

KEY_RENEWAL_S = 300.0  # cloud providers' short-lived tokens last an hour, the shortest usual ones ten minutes
COMMAND_LIMIT_S = 30.0


def read_key(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """The key, None where none was named; UsageError, which never shows what a command printed."""
    if settings.api_key_command is not None:
        return _printed(settings.api_key_command)
    name = settings.api_key_env
    if name is None:
        return None
    key = environ.get(name, "").strip()
    if not key:
        raise UsageError(f"--api-key-env {name}: that variable is empty or not set: export {name}=KEY")
    return key


def keep_key_fresh(
    settings: Settings,
    use: Callable[[str], None],
    say: Callable[[str], None],
    every_s: float = KEY_RENEWAL_S,
) -> None:
    """Run the command again and again; where it fails the last key stays in use, and that is said."""
    while True:
        gevent.sleep(every_s)
        try:
            key = read_key(settings, os.environ)
        except UsageError as error:
            say(f"{error}; the last key stays in use")
        else:
            use(key or "")


def _printed(command: str) -> str:
    try:
        ended = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its output is no text"
        raise UsageError(f"--api-key-command cannot be run: {reason}") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"--api-key-command did not end within {COMMAND_LIMIT_S:g} s") from error
    words = ended.stdout.split()
    if ended.returncode or len(words) != 1:
        raise UsageError(
            f"--api-key-command ended with code {ended.returncode} and printed {len(words)} words: "
            "give a command that ends with 0 and prints the key alone"
        )
    return words[0]
