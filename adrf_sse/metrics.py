"""Metrics of the streams and runs for Prometheus (extra ``adrf-sse[metrics]``)."""

import os
import threading
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from adrf_sse import signals
from adrf_sse.runs.local import local_runs
from adrf_sse.streams.stream import EventStream
from adrf_sse.streams.sync_sources import count_sync_sources

try:
    import prometheus_client as prometheus
    from prometheus_client import multiprocess
except ImportError as exc:
    raise ImportError(
        "adrf_sse.metrics needs prometheus-client, which is not installed. Run: pip install 'adrf-sse[metrics]'"
    ) from exc

INTERVAL = 5.0
"""The interval in seconds at which the events and bytes of open streams are counted between scrapes."""

DURATIONS = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Upper bounds, in seconds, of the buckets for the durations of streams."""

Sent = tuple[int, int]
"""A number of events and a number of bytes."""

NOTHING: Sent = (0, 0)


class OpenStreamTotals:
    """Remember how many events and bytes of each open stream the metrics already include. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[EventStream, Sent] = {}

    def __len__(self) -> int:
        return len(self._counted)

    def add(self, stream: EventStream) -> None:
        """Add a stream that has opened."""
        with self._lock:
            self._counted[stream] = NOTHING

    def remove(self, stream: EventStream) -> Sent | None:
        """Remove a stream, and return what it has sent since the last count. ``None`` if it was never added."""
        with self._lock:
            sent = self._count(stream)
            self._counted.pop(stream, None)
            return sent

    def count(self) -> dict[str, Sent]:
        """Return what the streams of each view have sent since the last count."""
        with self._lock:
            streams = tuple(self._counted)
        views: dict[str, Sent] = {}
        for stream in streams:
            with self._lock:  # The event loop may wait for the lock, so it is held for one stream at a time.
                sent = self._count(stream)
            if sent and sent is not NOTHING:
                view = stream.view_name
                events, size = views.get(view, NOTHING)
                views[view] = events + sent[0], size + sent[1]
        return views

    def _count(self, stream: EventStream) -> Sent | None:
        before = self._counted.get(stream)
        now = stream.events, stream.bytes
        if before is None or now == before:
            return None if before is None else NOTHING
        self._counted[stream] = now
        return now[0] - before[0], now[1] - before[1]


class StreamMetrics:
    """Count the streams and runs of this process in the metrics of a registry.

    Create one instance when the project starts, in a module of its own, and route its ``view``. If another exporter
    serves the registry, create it in the ``ready()`` method of an app instead. prometheus_client raises ``ValueError``
    if the registry already has an instance.

    The events and bytes of open streams are counted every 5 seconds and at each request to ``view``. The metrics are
    prometheus_client's own, so its multiprocess mode works.
    """

    def __init__(self, registry: prometheus.CollectorRegistry = prometheus.REGISTRY) -> None:
        self.registry = registry
        self._make_metrics(registry)
        self._totals = OpenStreamTotals()
        self._timer_lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._connect()

    def _make_metrics(self, registry: prometheus.CollectorRegistry) -> None:
        self._streams = prometheus.Gauge(
            "adrf_sse_streams_open", "Open streams.", ["view"], registry=registry, multiprocess_mode="livesum"
        )
        self._closed = prometheus.Counter(
            "adrf_sse_streams_closed", "Streams that have ended.", ["view", "reason"], registry=registry
        )
        self._duration = prometheus.Histogram(
            "adrf_sse_stream_duration_seconds",
            "How long the streams that have ended were open.",
            ["view"],
            registry=registry,
            buckets=DURATIONS,
        )
        self._events = prometheus.Counter("adrf_sse_events_sent", "Events sent.", ["view"], registry=registry)
        self._bytes = prometheus.Counter("adrf_sse_bytes_sent", "Bytes sent.", ["view"], registry=registry)
        self._lag = prometheus.Histogram(
            "adrf_sse_broker_lag_seconds",
            "Time between the publication of an event and its arrival in a process.",
            registry=registry,
        )
        self._dropped = prometheus.Counter(
            "adrf_sse_subscribers_dropped",
            "Subscribers that were disconnected because they fell too far behind.",
            registry=registry,
        )
        self._sync_sources = prometheus.Gauge(
            "adrf_sse_sync_sources",
            "Synchronous sources, each with a thread, that have not returned.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._runs = prometheus.Gauge(
            "adrf_sse_runs_active",
            "Runs that are being produced.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._runs_ended = prometheus.Counter(
            "adrf_sse_runs_ended", "Runs that have ended.", ["status"], registry=registry
        )

    def _connect(self) -> None:
        # Strong references, because the receivers must live as long as the metrics in the registry.
        signals.stream_opened.connect(self._stream_opened, weak=False)
        signals.stream_closed.connect(self._stream_closed, weak=False)
        signals.event_received.connect(self._event_received, weak=False)
        signals.subscriber_dropped.connect(self._subscriber_dropped, weak=False)
        signals.run_started.connect(self._run_started, weak=False)
        signals.run_ended.connect(self._run_ended, weak=False)

    def disconnect(self) -> None:
        """Stop counting."""
        signals.stream_opened.disconnect(self._stream_opened)
        signals.stream_closed.disconnect(self._stream_closed)
        signals.event_received.disconnect(self._event_received)
        signals.subscriber_dropped.disconnect(self._subscriber_dropped)
        signals.run_started.disconnect(self._run_started)
        signals.run_ended.disconnect(self._run_ended)
        self._totals = OpenStreamTotals()
        self._stop_timer()

    @method_decorator(require_safe)
    def view(self, request: HttpRequest) -> HttpResponse:
        """Respond to a scrape with the metrics of this process, or of all processes in multiprocess mode."""
        self.count_open_streams()
        return HttpResponse(
            prometheus.generate_latest(self._registry_to_scrape()), content_type=prometheus.CONTENT_TYPE_LATEST
        )

    def _registry_to_scrape(self) -> prometheus.CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self.registry
        registry = prometheus.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def count_open_streams(self) -> None:
        """Add what the open streams have sent since the last count to the metrics. Thread-safe."""
        for view, sent in self._totals.count().items():
            self._add(view, sent)
        self._sync_sources.set(count_sync_sources())
        self._runs.set(len(local_runs))

    def _add(self, view: str, sent: Sent) -> None:
        events, size = sent
        self._events.labels(view).inc(events)
        self._bytes.labels(view).inc(size)

    # These two receivers are asynchronous because Django would run a plain function in a thread.

    async def _stream_opened(self, stream: EventStream, **kwargs: Any) -> None:
        self._streams.labels(stream.view_name).inc()
        self._totals.add(stream)
        self._start_timer()

    async def _stream_closed(self, stream: EventStream, reason: str, duration: float, **kwargs: Any) -> None:
        sent = self._totals.remove(stream)
        if sent is None:
            return  # The stream was opened before the metrics were created.
        view = stream.view_name
        self._add(view, sent)
        self._streams.labels(view).dec()
        self._closed.labels(view, reason).inc()
        self._duration.labels(view).observe(duration)

    def _event_received(self, lag: float, **kwargs: Any) -> None:
        self._lag.observe(lag)

    def _subscriber_dropped(self, **kwargs: Any) -> None:
        self._dropped.inc()

    def _run_started(self, **kwargs: Any) -> None:
        self._runs.set(len(local_runs))

    def _run_ended(self, status: str, **kwargs: Any) -> None:
        self._runs.set(len(local_runs))
        self._runs_ended.labels(status).inc()

    # The timer is a thread that counts the open streams once. It starts again while streams are open.

    def _start_timer(self) -> None:
        with self._timer_lock:
            if self._timer is None and self._totals:
                self._timer = threading.Timer(INTERVAL, self._tick)
                self._timer.name = "adrf_sse metrics"
                self._timer.daemon = True
                self._timer.start()

    def _tick(self) -> None:
        with self._timer_lock:
            self._timer = None
        self._start_timer()
        self.count_open_streams()

    def _stop_timer(self) -> None:
        with self._timer_lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
