"""The PostgreSQL broker (extra ``adrf-sse[postgres]``), and the app that brings its tables."""

from adrf_sse.brokers.postgres.broker import PostgresBroker

__all__ = ["PostgresBroker"]
