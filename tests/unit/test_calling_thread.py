"""Tests of the thread in which the synchronous code of synchronous tests and callers runs."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from adrf_sse.runtime.calling_thread import CallingThread


def submit(thread, function, *args):
    """Submit a call as the event loop does: from another thread."""
    with ThreadPoolExecutor(1) as other:
        other.submit(thread.submit, function, *args).result()


def test_calls_run_until_the_result_is_there_and_later_ones_in_the_next_wait():
    thread, first, second, ran = CallingThread(), Future(), Future(), []
    submit(thread, ran.append, 1)
    submit(thread, first.set_result, None)
    submit(thread, ran.append, 2)
    thread.run_until(first)
    assert ran == [1]
    submit(thread, second.set_result, None)
    thread.run_until(second)
    assert ran == [1, 2]


def test_no_call_runs_if_the_result_is_there_already():
    thread, done, ran = CallingThread(), Future(), []
    done.set_result(None)
    submit(thread, ran.append, 1)
    thread.run_until(done)
    assert ran == []


def test_a_result_that_does_not_come_is_a_timeout():
    with pytest.raises(TimeoutError):
        CallingThread().run_until(Future(), timeout=0.01)
