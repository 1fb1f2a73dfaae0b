"""Metrics of the streams for Prometheus, through prometheus-client: the extra ``metrics``."""

import os
import threading
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from adrf_sse import signals
from adrf_sse.streams.stream import EventStream

try:
    import prometheus_client as prometheus
    from prometheus_client import multiprocess
except ImportError as exc:
    raise ImportError(
        "adrf_sse.metrics needs prometheus-client, which is not installed. Run: pip install 'adrf-sse[metrics]'"
    ) from exc

INTERVAL = 5.0
"""Seconds after which what open streams have sent is counted, where nothing asks for it before."""

DURATIONS = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Upper bounds, in seconds, of the buckets of streams' durations."""


Sent = tuple[int, int]
"""Events and bytes."""

NOTHING: Sent = (0, 0)


class Ledger:
    """Know the open streams, and how much of what each has sent is counted already; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[EventStream, Sent] = {}

    def __len__(self) -> int:
        return len(self._counted)

    def open(self, stream: EventStream) -> None:
        """Enter a stream."""
        with self._lock:
            self._counted[stream] = NOTHING

    def close(self, stream: EventStream) -> Sent | None:
        """Strike a stream out, and return what was not counted yet; ``None`` for one that was never entered."""
        with self._lock:
            sent = self._take(stream)
            self._counted.pop(stream, None)
            return sent

    def take(self) -> dict[str, Sent]:
        """Return what was not counted yet, by view, and take it for counted."""
        with self._lock:
            streams = tuple(self._counted)
        views: dict[str, Sent] = {}
        for stream in streams:
            with self._lock:  # for one at a time: the event loop may want it
                sent = self._take(stream)
            if sent and sent is not NOTHING:
                view = stream.view_name
                events, size = views.get(view, NOTHING)
                views[view] = events + sent[0], size + sent[1]
        return views

    def _take(self, stream: EventStream) -> Sent | None:
        before = self._counted.get(stream)
        now = stream.events, stream.bytes
        if before is None or now == before:
            return None if before is None else NOTHING
        self._counted[stream] = now
        return now[0] - before[0], now[1] - before[1]


class StreamMetrics:
    """Count this process's streams, from now on, in metrics of a registry.

    Make one, where the project starts: ``path("metrics/", StreamMetrics().view)``, or in an app's ``ready()`` where
    another exporter serves the registry. prometheus_client raises ``ValueError`` for a second one on a registry.

    An open stream's events and bytes are counted every ``INTERVAL`` seconds, and whenever ``view`` is asked. The
    metrics are prometheus_client's own, so its multiprocess mode works.
    """

    def __init__(self, registry: prometheus.CollectorRegistry = prometheus.REGISTRY) -> None:
        self.registry = registry
        self._make_metrics(registry)
        self._ledger = Ledger()
        self._timing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._connect()

    def _make_metrics(self, registry: prometheus.CollectorRegistry) -> None:
        self._streams = prometheus.Gauge(
            "adrf_sse_streams_open", "Streams that are open.", ["view"], registry=registry, multiprocess_mode="livesum"
        )
        self._closed = prometheus.Counter(
            "adrf_sse_streams_closed", "Streams that have ended.", ["view", "reason"], registry=registry
        )
        self._duration = prometheus.Histogram(
            "adrf_sse_stream_duration_seconds",
            "How long streams that have ended were open.",
            ["view"],
            registry=registry,
            buckets=DURATIONS,
        )
        self._events = prometheus.Counter("adrf_sse_events_sent", "Events sent.", ["view"], registry=registry)
        self._bytes = prometheus.Counter("adrf_sse_bytes_sent", "Bytes sent.", ["view"], registry=registry)
        self._lag = prometheus.Histogram(
            "adrf_sse_broker_lag_seconds", "From an event's publishing to its arrival in a process.", registry=registry
        )
        self._dropped = prometheus.Counter(
            "adrf_sse_subscribers_dropped", "Subscribers ended for falling behind.", registry=registry
        )

    def _connect(self) -> None:
        # Strongly: the registry, too, keeps what it was given.
        signals.stream_opened.connect(self._stream_opened, weak=False)
        signals.stream_closed.connect(self._stream_closed, weak=False)
        signals.event_received.connect(self._event_received, weak=False)
        signals.subscriber_dropped.connect(self._subscriber_dropped, weak=False)

    def disconnect(self) -> None:
        """Count nothing more."""
        signals.stream_opened.disconnect(self._stream_opened)
        signals.stream_closed.disconnect(self._stream_closed)
        signals.event_received.disconnect(self._event_received)
        signals.subscriber_dropped.disconnect(self._subscriber_dropped)
        self._ledger = Ledger()
        self._stop_counting()

    @method_decorator(require_safe)
    def view(self, request: HttpRequest) -> HttpResponse:
        """Answer a scrape, as a Django view: for all processes in multiprocess mode, else for this one."""
        self.count_open_streams()
        return HttpResponse(prometheus.generate_latest(self._scraped()), content_type=prometheus.CONTENT_TYPE_LATEST)

    def _scraped(self) -> prometheus.CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self.registry
        registry = prometheus.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def count_open_streams(self) -> None:
        """Bring the metrics up to what the streams have sent by now; from any thread."""
        for view, sent in self._ledger.take().items():
            self._add(view, sent)

    def _add(self, view: str, sent: Sent) -> None:
        events, size = sent
        self._events.labels(view).inc(events)
        self._bytes.labels(view).inc(size)

    # The receivers are asynchronous where Django would give a plain function a thread.

    async def _stream_opened(self, stream: EventStream, **kwargs: Any) -> None:
        self._streams.labels(stream.view_name).inc()
        self._ledger.open(stream)
        self._keep_counting()

    async def _stream_closed(self, stream: EventStream, reason: str, duration: float, **kwargs: Any) -> None:
        sent = self._ledger.close(stream)
        if sent is None:
            return  # it was opened before these metrics were made
        view = stream.view_name
        self._add(view, sent)
        self._streams.labels(view).dec()
        self._closed.labels(view, reason).inc()
        self._duration.labels(view).observe(duration)

    def _event_received(self, lag: float, **kwargs: Any) -> None:
        self._lag.observe(lag)

    def _subscriber_dropped(self, **kwargs: Any) -> None:
        self._dropped.inc()

    # The timer: a thread that waits while streams are open, and counts.

    def _keep_counting(self) -> None:
        with self._timing:
            if self._timer is None and self._ledger:
                self._timer = threading.Timer(INTERVAL, self._tick)
                self._timer.name = "adrf_sse metrics"
                self._timer.daemon = True
                self._timer.start()

    def _tick(self) -> None:
        with self._timing:
            self._timer = None
        self._keep_counting()
        self.count_open_streams()

    def _stop_counting(self) -> None:
        with self._timing:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
