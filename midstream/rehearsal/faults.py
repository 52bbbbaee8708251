"""Faults as data: what is broken in a rehearsal, each at the place where it happens in real life."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from midstream.rehearsal.bluegreen import GATES
from midstream.rehearsal.edits import Edit
from midstream.rehearsal.engine.options import EXTRA_ARGS
from midstream.rehearsal.network import Network
from midstream.rehearsal.steps import AnyStep

FAULTS = Path(__file__).with_name("faults")
SUFFIX = ".yaml"


class FaultError(Exception):
    """No such fault, or a file that is none; one sentence for the command line."""


class ControllerFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the Rollout's controller does wrong."""

    ignore: frozenset[str] = frozenset()  # gates it does not look at


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault; several can be in a rehearsal together."""

    name: str
    sentence: str
    manifest: tuple[Edit, ...] = ()  # edits of the manifests before they are applied
    node: dict[str, int] = msgspec.field(default_factory=dict)  # what it has of extended resources
    images: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)  # image -> more environment
    controller: ControllerFault = ControllerFault()
    network: tuple[Network, ...] = ()  # how the data plane treats Services, from the start
    steps: tuple[AnyStep, ...] = ()  # what happens at its moments


def bundled_faults() -> dict[str, Fault]:
    """The faults that come with the rehearsal, by name."""
    found = (read_fault(path) for path in sorted(FAULTS.glob(f"*{SUFFIX}"), key=lambda path: path.stem))
    return {fault.name: fault for fault in found}


def find_fault(name: str) -> Fault:
    """A bundled fault by its name, or any by the path of its file. Raises FaultError."""
    bundled = bundled_faults()
    if name in bundled:
        return bundled[name]
    if "/" in name or name.endswith(SUFFIX):
        return read_fault(Path(name))
    raise FaultError(f"no fault named {name!r}: choose from {', '.join(bundled)}, or give a YAML file")


def read_fault(path: Path) -> Fault:
    """The fault in a YAML file. Raises FaultError."""
    try:
        fault = msgspec.yaml.decode(path.read_bytes(), type=Fault)
    except OSError as error:
        raise FaultError(f"fault file {path}: {error.strerror}") from None
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = str(error).partition("\n")[0]
        raise FaultError(f"fault file {path}: {first_line}") from None
    if unknown := fault.controller.ignore - GATES:
        gates = ", ".join(sorted(GATES))
        raise FaultError(f"fault file {path}: no gate {', '.join(sorted(unknown))}: choose from {gates}")
    return fault


def manifest_edits(faults: Iterable[Fault]) -> list[Edit]:
    """All edits of the manifests, in the order of the faults."""
    return [edit for fault in faults for edit in fault.manifest]


def image_environments(faults: Iterable[Fault]) -> dict[str, dict[str, str]]:
    """What the faults add to each image: arguments add up, of another variable the later fault's counts."""
    added: dict[str, dict[str, str]] = {}
    for fault in faults:
        for image, env in fault.images.items():
            known = added.setdefault(image, {})
            arguments = [each[EXTRA_ARGS] for each in (known, env) if EXTRA_ARGS in each]
            known.update(env)
            if arguments:
                known[EXTRA_ARGS] = " ".join(arguments)
    return added


def node_of(faults: Iterable[Fault]) -> dict[str, int]:
    """The extended resources of the node; of two numbers for one the later fault's counts."""
    return {name: number for fault in faults for name, number in fault.node.items()}


def ignored_gates(faults: Iterable[Fault]) -> frozenset[str]:
    """The gates that the controller does not look at."""
    return frozenset[str]().union(*(fault.controller.ignore for fault in faults))


def steps_of(faults: Iterable[Fault]) -> tuple[AnyStep, ...]:
    """What happens in the course of the rehearsal."""
    return tuple(step for fault in faults for step in fault.steps)


def networks_of(faults: Iterable[Fault]) -> tuple[Network, ...]:
    """What is wrong with the data plane from the start."""
    return tuple(network for fault in faults for network in fault.network)
