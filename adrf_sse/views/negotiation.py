"""Negotiation: whether a response is a stream, and by which renderer."""

from collections.abc import Awaitable, Sequence
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.http import Http404
from rest_framework.exceptions import NotAcceptable
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.renderers.json_lines import JSONLinesRenderer
from adrf_sse.renderers.json_list import is_json
from adrf_sse.renderers.streaming import StreamingRenderer

if TYPE_CHECKING:
    from rest_framework.views import APIView as Base
else:
    Base = object


class StreamNegotiation(Base):
    """Let a view decide by anything in a request whether its response is a stream."""

    _refusal: NotAcceptable | None = None  # if no renderer matches Accept

    def wants_stream(self, request: Request) -> bool | Awaitable[bool | None] | None:
        """Return whether a source is streamed: ``True``, whatever ``Accept`` says, or ``False``, as a JSON list.

        ``None``, the default, goes by ``Accept``. A view all of whose renderers stream then disregards an ``Accept``
        that none of them matches (RFC 9110, section 12.5.1). Called after authentication, permissions and throttles. A
        synchronous method runs in a thread, so it may use the ORM; the method may also be a coroutine function.
        """
        return None

    def get_renderers(self) -> list[BaseRenderer]:
        """Return the view's renderers, with a renderer of JSON Lines for each of its media types."""
        return [
            each
            for renderer in super().get_renderers()
            for each in (renderer.alternatives() if isinstance(renderer, JSONLinesRenderer) else [renderer])
        ]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Select a renderer by ``Accept``. One that no renderer matches is refused later, unless it is disregarded."""
        try:
            return super().perform_content_negotiation(request, force)
        except NotAcceptable as refusal:
            self._refusal = refusal
            return super().perform_content_negotiation(request, force=True)

    async def _negotiated(self, request: Request) -> bool | None:
        """Return what ``wants_stream()`` returns. Raises ``NotAcceptable`` if no renderer may respond."""
        wanted = await self._wanted(request)
        if wanted is None and self._refusal is not None and not _all_stream(self.get_renderers()):
            raise self._refusal
        return wanted

    async def _wanted(self, request: Request) -> bool | None:
        method: Any = self.wants_stream
        if getattr(method, "__func__", None) is StreamNegotiation.wants_stream:
            return None
        answer = await (method(request) if iscoroutinefunction(method) else sync_to_async(method)(request))
        answer = await answer if isawaitable(answer) else answer
        if answer is None or isinstance(answer, bool):
            return answer
        raise TypeError(
            f"wants_stream() of {type(self).__name__} must return True, False or None, got {answer!r}. "
            "Convert it with bool(), or compare it: request.data.get('stream') is True."
        )

    def _select_renderer(self, request: Request, wanted: bool | None) -> None:
        """Replace the renderer that ``Accept`` has selected with one for a stream, or for a list, if that is wanted."""
        selected: Any = request.accepted_renderer
        is_page = isinstance(selected, EventStreamConsoleRenderer) and self._refusal is None
        if wanted is None or is_page:  # a page, whose script requests the stream itself
            return
        is_suitable = _streams if wanted else is_json
        if not is_suitable(selected):
            suitable = [each for each in self.get_renderers() if is_suitable(each)]
            request.accepted_renderer, request.accepted_media_type = self._select(
                request, suitable or [_default(self.get_renderers(), wanted)]
            )

    def _select(self, request: Request, renderers: Sequence[BaseRenderer]) -> Any:
        try:
            return self.get_content_negotiator().select_renderer(request, renderers, self.format_kwarg)
        except (NotAcceptable, Http404):
            return renderers[0], renderers[0].media_type


def _streams(renderer: BaseRenderer) -> bool:
    return isinstance(renderer, StreamingRenderer)


def _all_stream(renderers: Sequence[BaseRenderer]) -> bool:
    """Return whether all renderers stream. The console is a page about the stream, and no other form of it."""
    forms = [each for each in renderers if not isinstance(each, EventStreamConsoleRenderer)]
    return bool(forms) and all(map(_streams, forms))


def _default(renderers: Sequence[BaseRenderer], stream: bool) -> BaseRenderer:
    """Return a renderer for a stream, or for a list, if a view has none."""
    if stream:
        return EventStreamRenderer()
    classes = [each.data_renderer_class for each in renderers if isinstance(each, StreamingRenderer)]
    return (classes or [EventStreamRenderer.data_renderer_class])[0]()
