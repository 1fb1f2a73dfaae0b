"""The settings of a project with runs, whose clock may differ from that of other processes."""

import os
import time

SHIFT = float(os.environ.get("TEST_CLOCK_SHIFT", 0))
if SHIFT:  # before other modules import these functions
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + SHIFT
    time.time_ns = lambda: now_ns() + int(SHIFT * 1e9)

from tests.project.settings import *  # noqa: E402, F403

ROOT_URLCONF = "tests.project.run_views"
