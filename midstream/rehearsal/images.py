"""The table of container images: what each adds to the environment of its containers."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

IMAGES_FILE = Path(__file__).with_name("images.yaml")


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image is this project's own code; two of them differ by the environment they set."""

    env: dict[str, str] = msgspec.field(default_factory=dict)


def bundled_images() -> dict[str, Image]:
    """The images that every rehearsal starts with."""
    return msgspec.yaml.decode(IMAGES_FILE.read_bytes(), type=dict[str, Image])


def image_id(name: str, image: Image) -> str:
    """`repository@sha256:...` as a pod's status carries it; another definition gives another digest."""
    definition = msgspec.json.encode([name, dict(sorted(image.env.items()))])
    return f"{name.rpartition(':')[0] or name}@sha256:{hashlib.sha256(definition).hexdigest()}"


def with_env(images: Mapping[str, Image], changes: Mapping[str, Mapping[str, str]]) -> dict[str, Image]:
    """The table with variables added to images; a name that is not there yet becomes one."""
    changed = dict(images)
    for name, env in changes.items():
        changed[name] = Image(env={**changed.get(name, Image()).env, **env})
    return changed
