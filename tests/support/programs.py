"""Programs and packages that tests need, and that may be missing."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it if ``ADRF_SSE_REQUIRE_ALL=1`` is set."""
    if os.environ.get("ADRF_SSE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def program(*names: str, package: str) -> str:
    """Return the path of a program, by the first of its names that is found, or skip or fail the test."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(f"{' or '.join(names)} was not found: apt install {package}")
