"""`python -m midstream smoke`: names the server by options, prints the steps, ends with an exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from midstream.rollout_command import add_context, asked
from midstream.rollouts.client import ClusterError, UnreachableError
from midstream.rollouts.named import NoRolloutError, find_rollout, find_service
from midstream.rollouts.path import NoPathError, ServicePath, find_path
from midstream.smoke import Finding, Step, steps
from midstream.streams.access import Access, Header, Resolve
from midstream.streams.deadlines import Deadlines
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3
_Value = TypeVar("_Value")


def main(argv: Sequence[str]) -> int:
    """0: all steps well; 1: a step failed; 2: the command is wrong; 3: it cannot be known."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        return _run(given, os.environ)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return EXIT_UNKNOWN
    except UnreachableError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_UNKNOWN
    except (ClusterError, NoRolloutError, NoPathError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_USAGE


def _run(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    access, headers = _access(given, environ), _headers(given, environ)
    path = _path(given)
    target = Target.parse(path.url, headers)
    access.proxy(target.scheme, target.host, target.port)  # one that cannot be used is said now
    reactor = Reactor(Deadlines(), access=access)
    unverified = ", whose certificate is not verified (--insecure)" if given.insecure else ""
    print(f"smoke of {target.url}: {path.words}{unverified}", flush=True)
    found = []
    try:
        for step in steps(reactor, target, given.api, given.model, with_health=not given.no_health):
            print(_line(step), flush=True)
            found.append(step.finding)
    finally:
        reactor.close()
    if Finding.FAILED in found:
        return EXIT_FAILED
    return EXIT_UNKNOWN if Finding.UNKNOWN in found else EXIT_OK


def _line(step: Step) -> str:
    """One line, whatever the server's words are: they must not steer a terminal."""
    words = "".join(each if each.isprintable() else " " for each in step.seen)
    return f"{step.finding:<7} {step.name:<10}  {words}"


def _path(given: argparse.Namespace) -> ServicePath:
    if given.host is not None:
        if given.preview or given.context is not None:
            raise ValueError("--preview and --context go with --rollout: leave them out beside --host")
        return ServicePath(given.host, "the URL given", "")
    cluster, name = asked(given)
    service = find_service(find_rollout(cluster, name), preview=given.preview)
    return find_path(cluster, name.namespace, service)


def _access(given: argparse.Namespace, environ: Mapping[str, str]) -> Access:
    return Access(
        cacert=given.cacert,
        cert=given.cert,
        key=given.key,
        insecure=given.insecure,
        resolve=tuple(_read("--resolve", Resolve.parse, text) for text in given.resolve),
        https_proxy=environ.get("https_proxy", environ.get("HTTPS_PROXY", "")),
        no_proxy=environ.get("no_proxy", environ.get("NO_PROXY", "")),
    )


def _headers(given: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    headers = dict(_read("--header", Header.parse, text) for text in given.header)
    if given.api_key_env is not None:
        key = environ.get(given.api_key_env, "").strip()
        if not key:
            name = given.api_key_env
            raise ValueError(f"--api-key-env {name}: that variable is empty or not set: export {name}=KEY")
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _read(option: str, parse: Callable[[str], _Value], text: str) -> _Value:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream smoke",
        description="Ask a server for its health, one completion, one stream, which two readers read.",
        epilog="exit code: 0 all well, 1 a step failed, 2 the command is wrong, 3 it cannot be known",
        allow_abbrev=False,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--host", metavar="URL", help="the server, such as http://127.0.0.1:8000")
    where.add_argument("--rollout", metavar="NAMESPACE/NAME", help="the active Service of this Rollout")
    add_context(parser)
    parser.add_argument("--preview", action="store_true", help="the Rollout's preview Service instead")
    parser.add_argument("--model", help="the model to ask for (default: the first one served)")
    parser.add_argument("--api", choices=("completions", "chat"), default="completions")
    parser.add_argument("--no-health", action="store_true", help="leave GET /health out")
    parser.add_argument("--cacert", type=Path, metavar="FILE", help="PEM of the authorities to trust")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="PEM of the client's certificate")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM of its key, where --cert has none")
    parser.add_argument("--insecure", action="store_true", help="verify no certificate")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="for every request"
    )
    parser.add_argument(
        "--resolve",
        action="append",
        default=[],
        metavar="HOST:PORT:ADDRESS",
        help="an address for a name",
    )
    parser.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the API key")
    return parser
