"""Metrics for Prometheus."""

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry

from adrf_sse.metrics import StreamMetrics

metrics = StreamMetrics(CollectorRegistry())


def scrape(request: HttpRequest) -> HttpResponse:
    return metrics.view(request)
