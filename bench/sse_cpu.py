"""CPU, time error, memory of streaming clients beside each other on one paced server.

Exit 1 when a required ratio is missed.
All clients of a round run one after another, rounds repeat, ratios are taken within a round: the speed of a
machine moves too much for figures of different hours.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = ("midstream", "aiohttp", "httpx", "requests", "locust_http", "locust_fast")
C_CLIENT = "c"
OURS, DATED = "midstream", "midstream_dated"
NAMES = {
    OURS: "Midstream",
    C_CLIENT: "C client",
    "aiohttp": "aiohttp + uvloop + orjson",
    "httpx": "httpx",
    "requests": "requests + sseclient-py",
    "locust_http": "Locust HttpUser",
    "locust_fast": "Locust FastHttpUser",
}
REQUIRED = {C_CLIENT: 1.5, "aiohttp": 0.8, "httpx": 0.35}  # ours / theirs, at most
REQUIRED_AT = (500, 30)  # streams, events per second of each: at any other load nothing is required
OPENING_S, MARGIN_S = 1.8, 2.0  # before the counted stretch, behind it


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--rate", type=int, default=30, help="events per second of each stream")
    parser.add_argument("--seconds", type=float, default=4.0, help="counted stretch of each client")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument(
        "--yardstick",
        type=Path,
        default=os.environ.get("MIDSTREAM_YARDSTICK"),
        help="folder with srv.c, cclient.c (or env MIDSTREAM_YARDSTICK); without it C is not measured",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "sse_cpu.json")
    return parser.parse_args()


def _built(sources: Path | None, into: Path) -> Path | None:
    """The folder with server and client of C, or None where sources or a compiler are missing."""
    if sources is None or not (sources / "cclient.c").exists() or shutil.which("cc") is None:
        return None
    for name in ("srv", "cclient"):
        subprocess.run(["cc", "-O2", "-w", "-o", into / name, sources / f"{name}.c", "-lm"], check=True)
    return into


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _pinned(core: int) -> list[str]:
    """Server and client on a core each, where there are two."""
    enough = (os.cpu_count() or 1) > 1 and shutil.which("taskset")
    return ["taskset", "-c", str(core)] if enough else []


def _server(built: Path | None, port: int, rate: int, tokens: int) -> "subprocess.Popen[bytes]":
    if built is not None:
        command = [str(built / "srv"), str(port), "-r", str(rate), "-n", str(tokens), "-t", "1"]
    else:
        command = [sys.executable, str(ROOT / "bench" / "paced_server.py"), str(port), str(rate), str(tokens)]
    server = subprocess.Popen(_pinned(0) + command)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return server
        time.sleep(0.05)
    server.kill()
    raise SystemExit(f"the paced server did not listen on port {port}")


def _measured(
    name: str, port: int, tokens: int, options: argparse.Namespace, built: Path | None
) -> dict[str, Any]:
    """The figures of one client in one run."""
    if name == C_CLIENT:
        command = [
            str(Path(built or "") / "cclient"),
            *map(str, (port, options.streams, options.rate, tokens)),
        ]
        command += [str(options.seconds), "1", "0"]
    else:
        clients = str(ROOT / "bench" / "clients.py")
        command = [sys.executable, clients, name, *map(str, (port, options.streams, tokens, options.seconds))]
    done = subprocess.run(
        _pinned(1) + command,
        capture_output=True,
        text=True,
        timeout=options.seconds + 60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{name} said nothing (exit {done.returncode}): {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(lines[-1])
    if not figures["events"]:
        raise SystemExit(f"{name} saw no event: {done.stderr[-2000:]}")
    if name != C_CLIENT:
        return figures
    return {
        "us_per_event": figures["us_per_ev"],
        "events": figures["events"],
        "kib_per_stream": figures["rss_kb_stream"],
        "error_p50_ms": figures["lag_p50_ms"],
        "error_p99_ms": figures["lag_p99_ms"],
    }


def _median(rounds: list[dict[str, dict[str, Any]]], name: str, figure: str) -> float | None:
    values = [one[name][figure] for one in rounds if one[name].get(figure) is not None]
    return statistics.median(values) if values else None


def _ratio(rounds: list[dict[str, dict[str, Any]]], name: str) -> float:
    """The median over rounds of our CPU per event divided by theirs."""
    return statistics.median(one[OURS]["us_per_event"] / one[name]["us_per_event"] for one in rounds)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(rounds: list[dict[str, dict[str, Any]]], required: dict[str, float]) -> str:
    """Medians over the rounds as a Markdown table; errors of ours are of tokens with a certain time."""
    rows = [
        "| client | CPU µs per event | ours / theirs | required | token time error p50, p99 ms "
        "| TTFT error p50, p99 ms | KiB per stream |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, shown in NAMES.items():
        if name not in rounds[0]:
            rows.append(f"| {shown} | not measured | | | | | |")
            continue
        dated = DATED if name == OURS else name
        cells = {
            figure: _cell(_median(rounds, dated, figure))
            for figure in ("error_p50_ms", "error_p99_ms", "ttft_error_p50_ms", "ttft_error_p99_ms")
        }
        rows.append(
            f"| {shown} | {_cell(_median(rounds, name, 'us_per_event'))} "
            f"| {'' if name == OURS else f'{_ratio(rounds, name):.2f}'} "
            f"| {f'<= {required[name]}' if name in required else ''} "
            f"| {cells['error_p50_ms']}, {cells['error_p99_ms']} "
            f"| {cells['ttft_error_p50_ms']}, {cells['ttft_error_p99_ms']} "
            f"| {_cell(_median(rounds, name, 'kib_per_stream'))} |"
        )
    return "\n".join(rows)


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    said = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    measured = ["midstream/streams", "bench/clients.py", "bench/sse_cpu.py"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *measured], check=False).returncode
    return (said.stdout.strip() or "unknown") + ("+changes" if changed else "")


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return f"{os.cpu_count()} x {line.split(':', 1)[1].strip()}"
    return f"{os.cpu_count()} x {platform.machine()}"


def main() -> int:
    """Measure, print the table, write the raw JSON; 1 when a required ratio was missed."""
    options = _options()
    tokens = int(options.rate * (OPENING_S + options.seconds + MARGIN_S))
    with tempfile.TemporaryDirectory() as folder:
        built = _built(options.yardstick, Path(folder))
        port = _free_port()
        server = _server(built, port, options.rate, tokens)
        # Beside each other: the narrowest ratio is that to C.
        names = [OURS, *([C_CLIENT] if built is not None else []), DATED]
        names += [name for name in options.clients if name != OURS]
        rounds: list[dict[str, dict[str, Any]]] = []
        try:
            for number in range(options.rounds):
                turn = names[number % len(names) :] + names[: number % len(names)]
                rounds.append({name: _measured(name, port, tokens, options, built) for name in turn})
        finally:
            server.kill()
            server.wait()
    ratios = {name: round(_ratio(rounds, name), 3) for name in names if name not in (OURS, DATED)}
    document = {
        "commit": _commit(),
        "machine": _processor(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "server": "C" if built is not None else "bench/paced_server.py",
        "streams": options.streams,
        "rate": options.rate,
        "seconds": options.seconds,
        "taken": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "ratios": ratios,
        "rounds": rounds,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    required = REQUIRED if (options.streams, options.rate) == REQUIRED_AT else {}
    missed = [
        f"{NAMES[name]}: {ratios[name]} > {most}"
        for name, most in required.items()
        if name in ratios and ratios[name] > most
    ]
    sys.stdout.write(f"{table(rounds, required)}\n\nraw figures: {options.out}\n")
    sys.stdout.writelines(f"missed: {line}\n" for line in missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
