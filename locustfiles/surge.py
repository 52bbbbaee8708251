"""Long streams with a surge in mid-promotion: `locust -f locustfiles/surge.py --headless`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # works from any folder

try:
    from locust import events, task

    from hooks import install
    from hooks.surge import SurgeShape
    from hooks.user import StreamUser
except ModuleNotFoundError as missing:
    requirements = Path(__file__).resolve().parent.parent / "requirements.txt"
    sys.stderr.write(f"midstream: package {missing.name} is missing: pip install -r {requirements}\n")
    sys.exit(2)

install(events)


class LongStream(StreamUser):
    """A client that always has one answer streaming."""

    @task
    def hold(self) -> None:
        """One stream of the scenario file."""
        self.stream()


class Surge(SurgeShape):
    """Twice as many clients once the new pods come up."""

    factor = 2.0
