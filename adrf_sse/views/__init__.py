"""The views, and the last event ID for views that do not use them."""

from adrf_sse.views.channels import ChannelStreamView
from adrf_sse.views.live import LiveModelMixin
from adrf_sse.views.mixin import AsyncSSEAPIView, EventStreamMixin
from adrf_sse.views.requests import last_event_id
from adrf_sse.views.runs import RunView

__all__ = ["AsyncSSEAPIView", "ChannelStreamView", "EventStreamMixin", "LiveModelMixin", "RunView", "last_event_id"]
