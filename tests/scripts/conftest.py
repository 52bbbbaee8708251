"""What tests of scripts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.scene import Scene, scene


@pytest.fixture(name="scene")
def _scene(tmp_path: Path) -> Iterator[Scene]:
    """A cluster with one node and nothing else, in a folder with a space in its path."""
    with scene(tmp_path / "the scene") as made:
        yield made
