"""Imports Locust without its monkey patch, so that the raw servers of other tests keep their threads.

Locust patches the whole process as it is imported, unless this variable is set. The hooks name gevent
themselves wherever they wait, hence work either way; whole runs (tests/e2e) are patched as users' runs are.
"""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
import locust

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]  # processes that tests start are no part of this

__all__ = ["locust"]
