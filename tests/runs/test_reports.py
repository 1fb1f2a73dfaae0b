"""What a process reports of runs: log records, signals and metrics."""

import asyncio
import logging

import pytest
from django.dispatch import Signal
from prometheus_client import CollectorRegistry

from adrf_sse.brokers.runs import log_loss
from adrf_sse.metrics import StreamMetrics
from adrf_sse.runs import follow, run_state, start_run, stop_run
from adrf_sse.runs.begin import Start
from adrf_sse.signals import run_ended, run_started
from tests.conftest import use_redis


class Reported:
    """Receive a signal, and wait until it was sent."""

    def __init__(self, signal: Signal) -> None:
        self.calls = []
        self._sent = asyncio.Condition()
        signal.connect(self._receive)
        self.disconnect = lambda: signal.disconnect(self._receive)

    def _receive(self, sender, signal, **values):
        self.calls.append(values)
        self._tasks = [asyncio.ensure_future(self._notify())]

    async def _notify(self):
        async with self._sent:
            self._sent.notify_all()

    async def wait(self, number=1):
        async with asyncio.timeout(30), self._sent:
            await self._sent.wait_for(lambda: len(self.calls) >= number)
        return self.calls[number - 1]


@pytest.fixture
async def ended():
    ended = Reported(run_ended)
    yield ended
    ended.disconnect()


@pytest.fixture
async def started():
    started = Reported(run_started)
    yield started
    started.disconnect()


@pytest.fixture
def metrics():
    metrics = StreamMetrics(CollectorRegistry())
    yield metrics
    metrics.disconnect()


@pytest.fixture
def records(caplog):
    with caplog.at_level(logging.DEBUG, "adrf_sse"):
        yield lambda: [record for record in caplog.records if hasattr(record, "run")]


async def waiting():
    yield "a"
    await asyncio.Event().wait()


async def short():
    yield "a"
    yield "b"


async def failing():
    yield "a"
    raise ValueError("secret")


@pytest.mark.parametrize(("source", "status", "level"), [(short, "completed", "INFO"), (failing, "failed", "WARNING")])
async def test_a_run_is_logged_when_it_starts_and_when_it_ends(source, status, level, records, started, ended, broker):
    run_id = await start_run(source())
    values = await ended.wait()
    assert started.calls == [{"run_id": run_id}]
    assert values == {"run_id": run_id, "status": status, "duration": values["duration"]}
    begun, end = records()
    assert (begun.levelname, begun.getMessage()) == ("DEBUG", f"The run {run_id} has started.")
    assert (end.levelname, end.run, end.status, end.events, end.duration >= 0) == (
        level,
        run_id,
        status,
        end.events,
        True,
    )
    assert end.getMessage() == f"The run {run_id} has ended, {status}, after {end.duration:.3f} s, {end.events} events."


async def test_the_metrics_count_the_runs_of_the_process_and_how_they_end(metrics, started, ended, broker):
    def active():
        return metrics.registry.get_sample_value("adrf_sse_runs_active")

    def number(status):
        return metrics.registry.get_sample_value("adrf_sse_runs_ended_total", {"status": status})

    first, _ = await start_run(waiting()), await start_run(waiting())
    await started.wait(2)
    assert active() == 2
    await stop_run(first)
    await ended.wait()
    assert (active(), number("stopped")) == (1, 1)
    for source in (short, failing):
        await start_run(source())
    await ended.wait(3)
    assert (active(), number("completed"), number("failed")) == (1, 1, 1)
    late = StreamMetrics(CollectorRegistry())
    late.count_open_streams()
    assert late.registry.get_sample_value("adrf_sse_runs_active") == 1
    late.disconnect()


async def test_a_run_whose_producer_is_gone_is_logged_once(records, settings, broker):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_LEASE": 0.1}
    start = Start()
    await start.create(queued=False)  # and nobody produces it
    async with asyncio.timeout(30):
        assert [event.event async for event in follow(start.run_id)] == ["error", "end"]
    assert (await run_state(start.run_id))["status"] == "lost"
    [record] = records()
    assert (record.levelname, record.run, record.status) == ("ERROR", start.run_id, "lost")
    assert record.getMessage().startswith(f"The run {start.run_id} is lost: nothing has begun to produce it, or ")


async def test_control_characters_in_the_id_of_a_run_are_escaped(records):
    log_loss("a\nb")
    assert records()[0].getMessage().startswith("The run a\\nb is lost: ")


async def test_a_run_that_redis_has_lost_is_logged(records, settings, redis_url, shared_redis):
    use_redis(settings, redis_url)
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_LEASE": 0.3}
    start = Start()
    await start.create(queued=False)
    async with asyncio.timeout(30), follow(start.run_id) as events:
        shared_redis.client.flushall()
        assert [event.event async for event in events] == ["error", "end"]
    [record] = records()
    assert record.getMessage() == (
        f"The run {start.run_id}, which this process follows, is lost: the broker does not know it any longer."
    )
