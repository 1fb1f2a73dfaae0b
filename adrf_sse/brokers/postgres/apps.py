"""The Django app of the PostgreSQL broker."""

from django.apps import AppConfig


class PostgresBrokerConfig(AppConfig):
    """Bring the migrations that create the broker's tables and functions."""

    name = "adrf_sse.brokers.postgres"
    label = "adrf_sse_postgres"
    verbose_name = "Server-Sent Events in PostgreSQL"
