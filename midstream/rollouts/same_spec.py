"""Whether applying a Rollout's manifest would change what is asked for; run as a module it compares files."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXIT_SAME, EXIT_DIFFERENT = 0, 1


def main(argv: Sequence[str]) -> int:
    """Two files of JSON: the object that is there (empty: none), and what the API server would make of it."""
    live, wanted = (Path(name).read_text(encoding="utf-8") for name in argv)
    if not live.strip():
        return EXIT_DIFFERENT
    return EXIT_SAME if same_spec(json.loads(live), json.loads(wanted)) else EXIT_DIFFERENT


def same_spec(live: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Equal but for empty values, and for the pause that is a person's.

    Argo's controller writes the Rollout by its Go type, which adds `resources: {}` to each container
    (Argo 1.9.1); an apply takes it out again, and no revision comes of either.
    """
    return _asked(live) == _asked(wanted)


def _asked(rollout: dict[str, Any]) -> object:
    return _without_empty({key: value for key, value in rollout["spec"].items() if key != "paused"})


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in ({}, [], None)}
    if isinstance(value, list):
        return [_without_empty(each) for each in value]
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
