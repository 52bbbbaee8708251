"""What the streams ask for: prompts with weights, read from a scenario file."""

import math
import random
from pathlib import Path

import msgspec


class ScenarioError(ValueError):
    """A scenario file cannot be used; the message says what to change."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of request."""

    name: str
    weight: float = 1.0
    prompts: tuple[str, ...] = ()
    prompt_file: str | None = None  # one prompt a line, relative to the scenario file
    tokens: int | None = None  # None: the plan decides


class _ScenarioFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scenarios: tuple[Scenario, ...]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one stream asks for."""

    scenario: str
    prompt: str
    tokens: int | None


class Scenarios(msgspec.Struct, frozen=True):
    """The scenarios of a run, with every prompt loaded."""

    entries: tuple[Scenario, ...]

    @property
    def asks(self) -> tuple[Ask, ...]:
        """Every request that `pick` may give."""
        return tuple(
            Ask(scenario=entry.name, prompt=prompt, tokens=entry.tokens)
            for entry in self.entries
            for prompt in entry.prompts
        )

    def pick(self, chance: random.Random) -> Ask:
        """One request by the weights; the same seed gives the same sequence."""
        scenario = chance.choices(self.entries, [entry.weight for entry in self.entries])[0]
        return Ask(scenario=scenario.name, prompt=chance.choice(scenario.prompts), tokens=scenario.tokens)


def read_scenarios(path: Path) -> Scenarios:
    """Read a scenario file; every fault of it is a ScenarioError of one line."""
    try:
        content = msgspec.yaml.decode(path.read_bytes(), type=_ScenarioFile)
    except OSError as error:
        raise ScenarioError(f"cannot read the scenario file {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ScenarioError(f"scenario file {path}: {' '.join(str(error).split())}") from error
    if not content.scenarios:
        raise ScenarioError(f"scenario file {path} lists no scenarios")
    return Scenarios(tuple(_with_prompts(entry, path) for entry in content.scenarios))


def _with_prompts(entry: Scenario, path: Path) -> Scenario:
    if not 0 < entry.weight < math.inf or (entry.tokens is not None and entry.tokens < 1):
        raise ScenarioError(f"scenario {entry.name} in {path}: weight and tokens must be above 0")
    if entry.prompt_file is None:
        if not entry.prompts:
            raise ScenarioError(f"scenario {entry.name} in {path} has neither prompts nor prompt_file")
        return entry
    prompt_path = path.parent / entry.prompt_file
    try:
        lines = prompt_path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"scenario {entry.name}: cannot read {prompt_path}: {error}") from error
    prompts = entry.prompts + tuple(line for line in lines if line.strip())
    if not prompts:
        raise ScenarioError(f"scenario {entry.name}: prompt_file {prompt_path} holds no prompts")
    return msgspec.structs.replace(entry, prompts=prompts)
