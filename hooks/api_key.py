"""Where the API key comes from: a variable of the environment, or a command run again before it expires."""

import json
import math
import os
import re
import shlex
import subprocess
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping

import gevent
from gevent.event import Event

from hooks.layers import UsageError
from hooks.settings import Settings

KEY_RENEWAL_S = 300.0  # cloud providers' short-lived tokens last an hour, the shortest usual ones ten minutes
LIFE_USED = 0.8  # so much of what is left of a key's life passes before another is asked for
SOONEST_RENEWAL_S = 1.0  # whatever a key says of its own end, also by a clock that is wrong
REFUSED_RENEWAL_S = 10.0  # between two runs for keys refused: a revision may refuse every key there is
COMMAND_LIMIT_S = 30.0
_KEY = re.compile(r"[ \t!-~\x80-\xff]+")  # what a header's value may hold (RFC 9110 5.5)


def read_key(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """The key, None where none was named; UsageError, which never shows what a command printed."""
    if settings.api_key_command is not None:
        return _sendable(_printed(settings.api_key_command), "--api-key-command: what it printed")
    name = settings.api_key_env
    if name is None:
        return None
    key = environ.get(name, "").strip()
    if not key:
        raise UsageError(f"--api-key-env {name}: that variable is empty or not set: export {name}=KEY")
    return _sendable(key, f"--api-key-env {name}: that variable")


def keep_key_fresh(
    settings: Settings,
    use: Callable[[str], None],
    say: Callable[[str], None],
    refused: Event,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = gevent.sleep,
) -> None:
    """Run the command again and again; where it fails the last key stays in use, and that is said.

    At once, since the end of the key in use is not known here; then before the key's end (`renewal_s`), or
    as soon as `refused` is set (some stream was answered 401 or 403), but for that at most once per
    REFUSED_RENEWAL_S. Clocks and sleep are in seconds; the wall clock is what a key's end is told by.
    """
    key = ""
    while True:
        soonest_s = SOONEST_RENEWAL_S
        try:
            key = read_key(settings, os.environ) or ""
        except UsageError as error:
            say(f"{error}; the last key stays in use")
            soonest_s = REFUSED_RENEWAL_S  # a command that fails is not pressed
        else:
            use(key)
        refused.clear()  # what was refused meanwhile had the key before
        ran_s = clock()
        wait_s = max(soonest_s, renewal_s(key, wall_clock()))
        if refused.wait(wait_s):
            sleep(max(0.0, ran_s + min(wait_s, REFUSED_RENEWAL_S) - clock()))


def renewal_s(key: str, now_s: float) -> float:
    """Seconds until another key is to be asked for; `now_s` is in Unix time.

    min(KEY_RENEWAL_S, LIFE_USED * (exp - now)), at least SOONEST_RENEWAL_S, by the claim `exp` of a JWT
    (RFC 7519 4.1.4), which is read and not verified; KEY_RENEWAL_S for a key of any other kind.
    """
    end_s = _end_s(key)
    if end_s is None:
        return KEY_RENEWAL_S
    return max(SOONEST_RENEWAL_S, min(KEY_RENEWAL_S, LIFE_USED * (end_s - now_s)))


def _end_s(key: str) -> float | None:
    """When a JWT ends, in Unix time; None where the key is none or does not say."""
    parts = key.split(".")
    if len(parts) != 3:  # header, claims, signature (RFC 7515 7.1)
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        exp = claims["exp"]
        end_s = float(exp) if isinstance(exp, int | float) and not isinstance(exp, bool) else math.nan
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None  # no base64, no JSON, no object, no such claim, no number a clock could show
    return end_s if math.isfinite(end_s) else None


def _sendable(key: str, what: str) -> str:
    if not _KEY.fullmatch(key):
        raise UsageError(f"{what} holds characters that no header may hold: give the key alone")
    return key


def _printed(command: str) -> str:
    # No error is chained: its text or its fields hold the command, or what it printed.
    try:
        ended = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"--api-key-command did not end within {COMMAND_LIMIT_S:g} s") from None
    except UnicodeDecodeError:
        raise UsageError("--api-key-command printed no text: give a command that prints the key") from None
    except OSError as error:
        raise UsageError(f"--api-key-command cannot be run: {error.strerror}") from None
    except ValueError:
        raise UsageError("--api-key-command cannot be run: see its quotes, one is not closed") from None
    words = ended.stdout.split()
    if ended.returncode or len(words) != 1:
        raise UsageError(
            f"--api-key-command ended with code {ended.returncode} and printed {len(words)} words: "
            "give a command that ends with 0 and prints the key alone"
        )
    return words[0]
