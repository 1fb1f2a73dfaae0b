"""The console: what a stream's endpoint shows in a browser."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import remove_query_param
from rest_framework.views import APIView

from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.streams.sources import discard, is_source


class NotStarted:
    """Stand, as a response's data, for a source that was given up."""


class EventStreamConsoleRenderer(BrowsableAPIRenderer):
    """Show REST framework's browsable page, with a panel that reads the stream live.

    Goes after ``EventStreamRenderer`` in ``renderer_classes``: the first one answers clients that accept anything. The
    page never starts the source; its panel asks for the stream by itself, with ``Accept: text/event-stream``.
    """

    template = "adrf_sse/console.html"

    def page_for(self, response: Response) -> Response:
        """Give up the source that is the response's data, and return the response, to be rendered as a page."""
        discard(response.data)
        response.data = NotStarted
        return response

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the page, for a source (which is given up) as for data."""
        context = dict(renderer_context or {})
        if is_source(data):
            data = self.page_for(context["response"]).data
        page: str = super().render(data, accepted_media_type, context)
        return page

    def get_default_renderer(self, view: APIView) -> BaseRenderer | None:
        """Return what renders the data that the page shows: for a renderer of streams, the one of its data."""
        renderer: BaseRenderer | None = super().get_default_renderer(view)
        data_renderer_class = getattr(renderer, "data_renderer_class", None)
        return renderer if data_renderer_class is None else data_renderer_class()

    def get_content(self, renderer: Any, data: Any, accepted_media_type: Any, renderer_context: Any) -> str:
        """Return the data as text; none for a stream, which the panel shows."""
        if data is NotStarted:
            return ""
        content: str = super().get_content(renderer, data, accepted_media_type, renderer_context)
        return content

    def get_context(self, data: Any, accepted_media_type: Any, renderer_context: Any) -> dict[str, Any]:
        """Return the page's context, without what REST framework's template would write as inline style."""
        context: dict[str, Any] = super().get_context(data, accepted_media_type, renderer_context)
        actions = context["extra_actions"]
        return context | {
            "code_style": "",
            "extra_actions": None,
            "console_actions": actions,
            "is_stream": data is NotStarted,
            "stream_url": self._stream_url(renderer_context["request"], renderer_context["view"]),
        }

    def _stream_url(self, request: Request, view: APIView) -> str:
        """Return the page's URL without what asked for a page: ``?format=api`` or the suffix ``.api``."""
        url = request.get_full_path()
        parameter = api_settings.URL_FORMAT_OVERRIDE
        if parameter in request.query_params:
            url = remove_query_param(url, parameter)
        if getattr(view, "format_kwarg", None) != self.format:
            return url
        path, question_mark, query = url.partition("?")
        path, slash = path.removesuffix("/"), "/" if path.endswith("/") else ""
        return f"{path.removesuffix(self.format)}{EventStreamRenderer.format}{slash}{question_mark}{query}"
