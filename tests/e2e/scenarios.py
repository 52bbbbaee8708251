"""Every whole run that the tests look at, by name: how it is started, what is done to it."""

import json
import random
import re
import signal
import string
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import yaml

from midstream.rehearsal import faults
from tests.e2e.fault_table import ROWS, Found
from tests.e2e.keyed_server import behind_a_key
from tests.e2e.locust_run import PROJECT, QUICK, Ended, LocustRun, Strike
from tests.e2e.wire_server import TURNS, EndingByTurns
from tests.midstream.rehearsal.engine_process import engine
from tests.midstream.streams.raw_server import RawServer

HERE = Path(__file__).parent
LOCUSTFILES_PAGE = PROJECT / "docs" / "Locustfiles.md"
INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


def quick(*arguments: str, strikes: Sequence[Strike] = (), locustfile: Path | None = None) -> LocustRun:
    """A run on the quick plan."""
    run = LocustRun(arguments=("--plan", str(QUICK), *arguments), strikes=strikes)
    if locustfile is not None:
        run.locustfile = locustfile
    return run


def under_alias(row: Found, folder: Path) -> Ended:
    """Faults from files of other names, so that nothing can have read what they are called."""
    folder.mkdir(parents=True)
    files = [_renamed(fault, folder) for fault in row.fault_names]
    chosen = [word for file in files for word in ("--rehearsal-fault", str(file))]
    return quick(*chosen, *row.options).run(folder)


def _renamed(fault: str, folder: Path) -> Path:
    alias = "".join(random.choices(string.ascii_lowercase, k=12))
    content = yaml.safe_load((Path(faults.__file__).parent / "faults" / f"{fault}.yaml").read_text())
    file = folder / f"{alias}.yaml"
    file.write_text(yaml.safe_dump(content | {"name": alias, "sentence": "An alias."}))
    return file


def plain(
    *arguments: str, strikes: Sequence[Strike] = (), kill_engine_after_s: float | None = None
) -> Callable[[Path], Ended]:
    """A plain load on an engine of its own."""

    def run(folder: Path) -> Ended:
        with engine("--tokens-per-second", "20") as served:
            host = ("--host", f"http://127.0.0.1:{served.port}")
            if kill_engine_after_s is not None:
                threading.Timer(kill_engine_after_s, served.process.kill).start()
            return LocustRun(arguments=(*host, *arguments), strikes=strikes).run(folder)

    return run


API_KEY = "sk-none-shall-see"


def with_a_key(folder: Path) -> Ended:
    """A plain load on a server behind TLS, a path and a key, which only this command gets through."""
    with RawServer(behind_a_key(API_KEY, "/team/llm")) as server:
        return LocustRun(
            arguments=(
                *("--host", f"https://localhost:{server.port}/team/llm", "-t", "2s", "--insecure"),
                *("--api-key-env", "LLM_KEY", "--header", f"X-Key: {API_KEY}", "--tokens", "16"),
            ),
            environ={"LLM_KEY": API_KEY},
        ).run(folder)


PLAYED = "played.json"


def every_ending(folder: Path) -> Ended:
    """A plain load on a server that ends each stream in another way; its own list is kept beside."""
    script = EndingByTurns()
    limits = ("--headers-limit", "2", "--first-token-limit", "2", "--idle-limit", "2", "--total-limit", "6")
    users = str(len(TURNS))  # all turns are played at once
    with RawServer(script) as server:
        ended = LocustRun(
            arguments=(
                *("--host", server.url, "-t", "5s", "-u", users, "-r", users, "--tokens", "40"),
                *limits,
            )
        ).run(folder)
    (folder / PLAYED).write_text(json.dumps(script.played))
    return ended


def from_the_page(folder: Path) -> Ended:
    """The code of docs/Locustfiles.md as a file outside the project, run as the page says."""
    (code,) = re.findall(r"^```python\n(.*?)^```", LOCUSTFILES_PAGE.read_text(), re.DOTALL | re.MULTILINE)
    folder.mkdir(parents=True)
    file = folder / "customers.py"
    file.write_text(code)
    with engine("--tokens-per-second", "80") as served:
        return LocustRun(
            arguments=("--host", f"http://127.0.0.1:{served.port}", "-t", "2s"),
            environ={"PYTHONPATH": str(PROJECT)},
            locustfile=file,
        ).run(folder)


SCENARIOS: dict[str, Callable[[Path], Ended]] = {
    "promotion": quick("--prove").run,
    **{row.name: partial(under_alias, row) for row in ROWS},
    "ten-users": quick("-u", "10").run,
    "dry-run": quick("--dry-run", "-u", "300", "--stream-seconds", "500", "--sigterm-streams", "0").run,
    "run-time-over": quick("-t", "9s").run,
    "ctrl-c": quick(strikes=[Strike(r"\] preview", INT)]).run,
    "ctrl-c-twice": quick(strikes=[Strike(r"\] preview", INT), Strike("Ctrl-C: stopping", INT, 0.5)]).run,
    "sigterm": quick(strikes=[Strike(r"\] baseline.*undisturbed", TERM)]).run,
    "ctrl-c-at-start": quick(strikes=[Strike("starting the rehearsal", INT, 0.3)]).run,
    "sigkill": quick(strikes=[Strike(r"\] preview", KILL)]).run,
    "failing-watch": quick(locustfile=HERE / "failing_watch.py").run,
    "failing-task": quick(locustfile=HERE / "failing_task.py").run,
    "plain": plain("-t", "4s", "--tokens", "60"),
    "every-ending": every_ending,
    "own-locustfile": from_the_page,
    "plain-with-a-key": with_a_key,
    "plain-chat": plain("-t", "2s", "--api", "chat", "--tokens", "20"),
    "plain-server-killed": plain("-t", "8s", "--tokens", "400", kill_engine_after_s=6.0),
    "plain-ctrl-c": plain("--tokens", "40", strikes=[Strike(r"\] load", INT)]),
}
