"""Throttles for streams."""

from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from adrf_sse.channels.channel import user_key
from adrf_sse.exceptions import TooManyClientStreams
from adrf_sse.renderers.streaming import StreamingRenderer
from adrf_sse.streams.limits import Limit, add_limit, stream_counts
from adrf_sse.validators import count, or_none

_maximum = or_none(count)


class ConcurrentStreamThrottle(BaseThrottle):
    """Limit how many streams each user has open in this process, or each address if the user is anonymous.

    ``THROTTLE_STREAMS`` of the view is the limit, and ``None`` sets no limit. A stream too many is refused with a 429
    response with ``Retry-After``, before its source starts. Other responses of the view are not limited. The address is
    that of REST framework's throttles, which depends on ``NUM_PROXIES``. All views with the same ``scope`` share the
    count. Raises ``TypeError`` or ``ValueError`` if ``THROTTLE_STREAMS`` is not a positive whole number.
    """

    THROTTLE_STREAMS: int | None = 6
    """The limit for views without an attribute of this name."""

    scope: str = "streams"
    """Streams are counted together if their throttles have the same scope."""

    retry_after: int = 5
    """The value of ``Retry-After`` in seconds. Nobody knows when a stream will end."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Refuse a stream if its client has reached the limit. Otherwise, let the limit apply when the stream opens.

        So requests that arrive together can't exceed the limit, and a request that opens no stream takes no place.
        """
        if request.method in ("HEAD", "OPTIONS"):
            return True
        maximum = _maximum("THROTTLE_STREAMS", getattr(view, "THROTTLE_STREAMS", self.THROTTLE_STREAMS))
        if maximum is None:
            return True
        key = self.get_key(request)
        if _opens_stream(request, view) and stream_counts.count(key) >= maximum:
            return False
        add_limit(request._request, Limit(key, maximum, partial(TooManyClientStreams, self.wait())))
        return True

    def wait(self) -> int:
        """Return the seconds after which the client may try again."""
        return self.retry_after

    def get_key(self, request: Request) -> str:
        """Return what the streams of a client are counted under. Override it to count by something else."""
        user = user_key(request.user)
        return f"{self.scope}:address:{self.get_ident(request)}" if user is None else f"{self.scope}:user:{user}"


def _opens_stream(request: Request, view: Any) -> bool:
    """Return whether the response will be a stream. A handler of POST or DELETE may return something else."""
    handler = getattr(view, (request.method or "").lower(), None)
    yields = isasyncgenfunction(handler) or isgeneratorfunction(handler)
    return isinstance(request.accepted_renderer, StreamingRenderer) and (request.method == "GET" or yields)
