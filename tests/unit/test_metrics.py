"""Tests of the metrics that Prometheus scrapes, in process and from servers with one and several workers."""

import asyncio
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import path
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adrf_sse import metrics as module
from adrf_sse import signals
from adrf_sse.decorators import event_stream
from adrf_sse.metrics import StreamMetrics
from adrf_sse.testing import EventStreamClient
from tests.support.example import ENDLESS, EXAMPLE, UVICORN, environment, serve_example
from tests.support.servers import serve
from tests.support.sources import Recorder

ROOT = Path(__file__).parents[2]
A = len(b"data: a\n\n")


def samples(text):
    """Parse a scrape and return the values of the package's metrics by name and labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("adrf_sse_") and not sample.name.endswith("_created")
    }


@event_stream
async def endless(request, number):
    async for item in Recorder("a", "a").run_for_ever():
        yield item


@event_stream
async def short(request):
    yield "a"


class ObservableMetrics(StreamMetrics):
    """Metrics that report when their timer has run."""

    ticks = 0

    def __init__(self, registry):
        self.ticked = threading.Condition()
        super().__init__(registry)

    def _tick(self):
        super()._tick()
        with self.ticked:
            self.ticks += 1
            self.ticked.notify_all()

    def wait_for_ticks(self, number):
        with self.ticked:
            before = self.ticks
            self.ticked.wait_for(lambda: self.ticks >= before + number)


@pytest.fixture
def metrics(settings):
    metrics = ObservableMetrics(CollectorRegistry())
    settings.ROOT_URLCONF = type(
        "URLs",
        (),
        {
            "urlpatterns": [
                path("endless/<int:number>/", endless, name="endless"),
                path("short/", short, name="short"),
                path("metrics/", metrics.view),
            ]
        },
    )
    yield metrics
    metrics.disconnect()


def scrape_samples(metrics):
    return samples(metrics.view(request()).content.decode())


def request(method="GET"):
    request = HttpRequest()
    request.method = method
    return request


def test_the_view_responds_in_the_format_of_prometheus(metrics):
    response = Client().get("/metrics/")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    assert b"# TYPE adrf_sse_streams_open gauge" in response.content
    assert Client().head("/metrics/").status_code == 200
    assert Client().post("/metrics/").status_code == 405


async def test_a_scrape_includes_what_open_streams_have_sent(metrics):
    client = EventStreamClient()
    async with client.get("/endless/1/") as one, client.get("/endless/2/") as two:
        await one.take(2)
        await two.take(2)
        # Scrape over ASGI, because streams are open. All URLs of a view share one label.
        async with client.get("/metrics/") as scrape:
            found = samples((await scrape.body()).decode())
        assert found["adrf_sse_streams_open", "endless"] == 2
        assert found["adrf_sse_events_sent_total", "endless"] == 4
        assert found["adrf_sse_bytes_sent_total", "endless"] == 4 * A
        assert scrape_samples(metrics)["adrf_sse_events_sent_total", "endless"] == 4
    found = scrape_samples(metrics)
    assert found["adrf_sse_streams_open", "endless"] == 0
    assert found["adrf_sse_streams_closed_total", "disconnected", "endless"] == 2
    assert found["adrf_sse_events_sent_total", "endless"] == 4
    assert found["adrf_sse_stream_duration_seconds_count", "endless"] == 2


async def test_events_and_bytes_are_counted_when_a_stream_ends(metrics):
    async with EventStreamClient().get("/short/") as stream:
        await stream.body()
    found = samples(generate_latest(metrics.registry).decode())
    assert found["adrf_sse_streams_closed_total", "completed", "short"] == 1
    assert found["adrf_sse_events_sent_total", "short"] == 1
    assert found["adrf_sse_bytes_sent_total", "short"] == A
    assert found["adrf_sse_stream_duration_seconds_bucket", "86400.0", "short"] == 1


async def test_a_timer_counts_open_streams_and_its_thread_ends_with_them(metrics, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    async with EventStreamClient().get("/endless/1/") as stream:
        await stream.take(2)
        await asyncio.to_thread(metrics.wait_for_ticks, 2)
        assert samples(generate_latest(metrics.registry).decode())["adrf_sse_events_sent_total", "endless"] == 2
    while timers := [thread for thread in threading.enumerate() if thread.name == "adrf_sse metrics"]:
        timers[0].join()
    async with EventStreamClient().get("/endless/1/") as stream:
        await asyncio.to_thread(metrics.wait_for_ticks, 1)


async def test_a_stream_opened_before_the_metrics_were_created_is_not_counted(metrics):
    async with EventStreamClient().get("/endless/1/") as stream:
        await stream.next()
        late = StreamMetrics(CollectorRegistry())
    late.disconnect()
    assert scrape_samples(metrics)["adrf_sse_streams_closed_total", "disconnected", "endless"] == 1
    assert not [key for key in scrape_samples(late) if "endless" in key]


async def test_disconnected_metrics_stop_counting(metrics):
    async with EventStreamClient().get("/endless/1/") as stream:
        await stream.next()
        metrics.disconnect()
    async with EventStreamClient().get("/short/") as stream:
        await stream.body()
    assert not [key for key in scrape_samples(metrics) if "short" in key]
    assert not any(
        signal.has_listeners()
        for signal in (
            signals.stream_opened,
            signals.stream_closed,
            signals.event_received,
            signals.subscriber_dropped,
            signals.run_started,
            signals.run_ended,
        )
    )


def test_channel_metrics_have_no_label_for_the_channel(metrics):
    for lag in (0.002, 0.5):
        signals.event_received.send_robust(sender=None, channel="orders.42", lag=lag)
    signals.subscriber_dropped.send_robust(sender=None, channels=("orders.42", "news"))
    found = scrape_samples(metrics)
    assert found["adrf_sse_subscribers_dropped_total",] == 1
    assert found["adrf_sse_broker_lag_seconds_count",] == 2
    assert found["adrf_sse_broker_lag_seconds_sum",] == pytest.approx(0.502)
    assert found["adrf_sse_broker_lag_seconds_bucket", "0.005"] == 1


def test_metrics_can_be_registered_only_once(metrics):
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        StreamMetrics(metrics.registry)


def test_the_error_without_prometheus_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "adrf_sse.metrics")
    with pytest.raises(ImportError, match=r"pip install 'adrf-sse\[metrics\]'"):
        import adrf_sse.metrics  # noqa: F401


def test_the_documentation_names_every_metric(metrics):
    described = re.findall(r"^\| `(adrf_sse_\w+)`", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    families = metrics.registry.collect()
    assert sorted(described) == sorted(f.name + "_total" * (f.type == "counter") for f in families)


async def test_a_synchronous_source_that_does_not_return_is_counted_after_its_stream_has_ended(
    metrics, visit, settings, caplog
):
    settings.ADRF_SSE = {"CLEANUP_TIMEOUT": 0.01}
    blocks, go, ended, threads = threading.Event(), threading.Event(), threading.Event(), []

    @event_stream
    def blocked(request):
        threads.append(threading.current_thread())
        try:
            yield "a"
            blocks.set()
            go.wait()
        finally:
            ended.set()

    def count():
        metrics.count_open_streams()
        return metrics.registry.get_sample_value("adrf_sse_sync_sources")

    before = count()
    async with visit(blocked, served=True) as stream:
        await stream.next()
        assert await asyncio.to_thread(blocks.wait, 30)
    assert "did not stop within 0.01 s" in caplog.text
    assert count() == before + 1
    go.set()
    await asyncio.to_thread(threads[0].join, 30)
    assert ended.is_set()
    assert count() == before


# Real servers


@pytest.mark.server
def test_a_server_can_be_scraped_while_streams_are_open(example_database):
    with (
        serve_example(example_database, ENDLESS) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        client.stream("GET", "/countdown/events/") as response,
    ):
        chunks = response.iter_raw()
        first = next(chunks)
        found = samples(client.get("/metrics/").text)
    assert found["adrf_sse_streams_open", "countdown-events"] == 1
    assert found["adrf_sse_events_sent_total", "countdown-events"] == 1
    assert found["adrf_sse_bytes_sent_total", "countdown-events"] == len(first)


@pytest.mark.slow
@pytest.mark.server
def test_a_scrape_combines_all_workers(example_database, tmp_path):
    env = environment(example_database) | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with (
        serve([*UVICORN, "--workers", "2"], env=env, cwd=EXAMPLE) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        bodies = []
        while len(bodies) < 8 or len(list(tmp_path.glob("counter_*.db"))) < 2:
            bodies += pool.map(lambda _: httpx.get(f"{server.url}/countdown/events/", timeout=30).content, range(8))
        scrapes = [samples(httpx.get(f"{server.url}/metrics/", timeout=30).text) for _ in range(4)]
    for found in scrapes:
        assert found["adrf_sse_streams_open", "countdown-events"] == 0
        assert found["adrf_sse_streams_closed_total", "completed", "countdown-events"] == len(bodies)
        assert found["adrf_sse_events_sent_total", "countdown-events"] == 11 * len(bodies)
        assert found["adrf_sse_bytes_sent_total", "countdown-events"] == sum(map(len, bodies))
