"""Views that stream channels."""

import logging
from collections.abc import Awaitable, Iterable
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from adrf_sse.channels import subscribe
from adrf_sse.channels.channel import MAX_CHANNELS, channel_names, user_key
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.event import is_too_long
from adrf_sse.logs import log
from adrf_sse.views.handlers import call, overridable
from adrf_sse.views.mixin import AsyncSSEAPIView
from adrf_sse.views.requests import sent_event_id

BAD_CHANNELS = (
    f"A stream has 1 to {MAX_CHANNELS} channels. Their names are 1 to 200 of the characters A-Z a-z 0-9 . _ : -."
)

_BAD_CHANNELS_LOGGED = (
    "%(method)s %(path)s: %(view_class)s.get_channels() returned a list that is not valid, and its client got a 400 "
    "response: %(error)s"
)


class ChannelStreamView(AsyncSSEAPIView):
    """A view that streams the channels that ``get_channels()`` returns.

    The view checks object permissions for the name of each channel (``has_object_permission``). A client that
    reconnects receives the events that it missed first. Events that skip the request's user are left out.
    """

    _channels: frozenset[str]

    def get_channels(self) -> Iterable[str] | Awaitable[Iterable[str]]:
        """Return the names of the channels for this request. It may be a coroutine function."""
        raise NotImplementedError(f"{type(self).__name__} must have get_channels(), got none. Return a list of names.")

    @overridable
    async def get(self, request: Request, *args: Any, **kwargs: Any) -> Subscription:
        """Subscribe to the channels, if the client has permission for each of them."""
        channels = self._checked(await call(self.get_channels))
        user = await sync_to_async(self._user_with_permissions)(request, channels)
        if self._authorization is not None:
            self._authorization.remember(_channels=channels)
        return subscribe(*channels, last_event_id=self._last_sent_id(), user=user)

    def reauthorize(self, request: Request) -> None:
        """Check again, also that ``get_channels()`` still returns the stream's channels, and their permissions."""
        super().reauthorize(request)
        names = self.get_channels()
        now = self._checked(async_to_sync(_awaited)(names) if isawaitable(names) else names)
        if not self._channels <= now:
            self.permission_denied(request)
        self._check_permissions_for(request, self._channels)

    def _last_sent_id(self) -> str | None:
        """Return the client's last event ID. One that is too long is unknown, and its client receives a ``reset``."""
        sent = sent_event_id(self.request)
        return sent if sent is not None and is_too_long(sent) else self.last_event_id

    def _user_with_permissions(self, request: Request, channels: Iterable[str]) -> str | None:
        self._check_permissions_for(request, channels)
        return user_key(request.user)

    def _check_permissions_for(self, request: Request, channels: Iterable[str]) -> None:
        for channel in channels:
            self.check_object_permissions(request, channel)

    def _checked(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of the channels. The client of a bad name is not told it, because it may be internal."""
        try:
            return channel_names(names)
        except ValueError as exc:
            view = type(self).__name__
            log(logging.WARNING, _BAD_CHANNELS_LOGGED, self.request._request, view_class=view, error=str(exc))
            raise ParseError(BAD_CHANNELS) from None


async def _awaited(names: Awaitable[Iterable[str]]) -> Iterable[str]:
    return await names
