"""The Redis broker (extra ``adrf-sse[redis]``)."""

from adrf_sse.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
