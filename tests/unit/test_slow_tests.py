"""Tests of how long slow tests are started."""

import time

import pytest

from tests.conftest import pytest_runtest_setup


@pytest.mark.parametrize(("marker", "seconds", "skipped"), [("slow", -1, True), ("slow", 3600, False), ("", -1, False)])
def test_slow_tests_are_skipped_when_their_time_is_over(monkeypatch, request, marker, seconds, skipped):
    monkeypatch.setenv("ADRF_SSE_SLOW_UNTIL", str(time.time() + seconds))
    if marker:
        request.node.add_marker(marker)
    try:
        pytest_runtest_setup(request.node)
    except pytest.skip.Exception:
        assert skipped
    else:
        assert not skipped
