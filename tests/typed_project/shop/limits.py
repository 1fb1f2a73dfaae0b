"""Limits on open streams."""

from collections.abc import AsyncIterator

from rest_framework.request import Request

from adrf_sse.exceptions import TooManyClientStreams, TooManyStreams
from adrf_sse.throttling import ConcurrentStreamThrottle
from adrf_sse.views import AsyncSSEAPIView


class TwoExports(ConcurrentStreamThrottle):
    scope = "exports"
    THROTTLE_STREAMS = 2
    retry_after = 30

    def get_key(self, request: Request) -> str:
        return f"{self.scope}:{request.headers.get('X-Tenant')}"


class Exports(AsyncSSEAPIView):
    throttle_classes = [TwoExports]
    THROTTLE_STREAMS = None

    async def get(self, request: Request) -> AsyncIterator[int]:
        yield 1


def seconds(refusal: TooManyStreams | TooManyClientStreams) -> int:
    return refusal.wait
