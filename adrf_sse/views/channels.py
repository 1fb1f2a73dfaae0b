"""Views that stream channels."""

from collections.abc import Awaitable, Iterable
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from adrf_sse.channels import subscribe
from adrf_sse.channels.channel import MAX_CHANNELS, channel_names
from adrf_sse.channels.subscription import Subscription
from adrf_sse.views.handlers import call
from adrf_sse.views.mixin import AsyncSSEAPIView

BAD_CHANNELS = (
    f"A stream has 1 to {MAX_CHANNELS} channels. Their names are 1 to 200 of the characters A-Z a-z 0-9 . _ : -."
)


class ChannelStreamView(AsyncSSEAPIView):
    """A view that streams the channels that ``get_channels()`` returns.

    The view checks object permissions for the name of each channel (``has_object_permission``). A client that
    reconnects receives the events that it missed first.
    """

    _channels: frozenset[str]

    def get_channels(self) -> Iterable[str]:
        """Return the names of the channels for this request. It may be a coroutine function."""
        raise NotImplementedError(f"{type(self).__name__} must have get_channels(), got none. Return a list of names.")

    async def get(self, request: Request, *args: Any, **kwargs: Any) -> Subscription:
        """Subscribe to the channels, if the client has permission for each of them."""
        channels = _checked(await call(self.get_channels))
        await sync_to_async(self._check_permissions_for)(request, channels)
        if self._authorization is not None:
            self._authorization.remember(_channels=channels)
        return subscribe(*channels, last_event_id=self.last_event_id)

    def reauthorize(self, request: Request) -> None:
        """Check again, also that ``get_channels()`` still returns the stream's channels, and their permissions."""
        super().reauthorize(request)
        names = self.get_channels()
        now = _checked(async_to_sync(_awaited)(names) if isawaitable(names) else names)
        if not self._channels <= now:
            self.permission_denied(request)
        self._check_permissions_for(request, self._channels)

    def _check_permissions_for(self, request: Request, channels: Iterable[str]) -> None:
        for channel in channels:
            self.check_object_permissions(request, channel)


async def _awaited(names: Awaitable[Iterable[str]]) -> Iterable[str]:
    return await names


def _checked(names: Iterable[str]) -> frozenset[str]:
    try:
        return channel_names(names)
    except ValueError:
        raise ParseError(BAD_CHANNELS) from None
