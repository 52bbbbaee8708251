"""Long streams with a surge in mid-promotion: `locust -f locustfiles/surge.py --headless`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # works from any folder

from hooks.surge import SurgeShape
from locustfiles.stream import LongStream

__all__ = ["LongStream", "Surge"]


class Surge(SurgeShape):
    """Twice as many clients once the new pods come up."""

    factor = 2.0
