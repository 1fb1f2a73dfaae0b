"""Metrics of the example. In a module of their own, because Django executes a URLconf again after an error in it."""

from adrf_sse.metrics import StreamMetrics

stream_metrics = StreamMetrics()
