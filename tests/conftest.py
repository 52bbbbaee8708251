"""What every test runs under: Locust without its monkey patch, properties without a clock.

Locust patches the whole process as it is imported, unless a variable is set; the raw servers of other tests
would lose their threads. The hooks name gevent themselves wherever they wait, hence work either way; whole
runs (tests/e2e) are patched as users' runs are.
"""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
import locust

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]  # processes that tests start are no part of this

from hypothesis import HealthCheck, settings

# No example is a timed test: on a slow machine each may take as long as it needs.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

__all__ = ["locust"]
