"""An event passes through few functions, so that a reader can follow it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = [(12, 6), (30, 10)]
"""Functions and modules at most, from a yield and from publish() to the server's send."""


def test_the_journeys_of_an_event_stay_short():
    command = [sys.executable, "-m", "benchmarks.journeys"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    printed = finished.stdout
    counts = [(int(functions), int(modules)) for functions, modules in re.findall(r"(\d+) functions in (\d+)", printed)]
    assert len(counts) == len(MOST)
    for (functions, modules), (most_functions, most_modules) in zip(counts, MOST, strict=True):
        assert functions <= most_functions, printed
        assert modules <= most_modules, printed
