"""The console: a page that shows a stream live in a browser."""

import shlex
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import remove_query_param
from rest_framework.views import APIView

from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.streams.sources import discard, is_source


class NotStarted:
    """Mark a response whose source was discarded before it started. The class itself is the response's data."""


class EventStreamConsoleRenderer(BrowsableAPIRenderer):
    """Render REST framework's browsable API with a panel that shows the stream live.

    List ``EventStreamRenderer`` before this class in ``renderer_classes``, because the first renderer responds to
    clients that accept any format. The page never starts the source. Its panel requests the stream separately, with
    ``Accept: text/event-stream``.
    """

    template = "adrf_sse/console.html"

    def page_for(self, response: Response) -> Response:
        """Discard the source in the response's data, and return the response, which then renders as a page."""
        discard(response.data)
        response.data = NotStarted
        return response

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the page. If the data is a source, the source is discarded.

        Raises ``ImproperlyConfigured`` if the app is not installed, because Django then finds no template of it.
        """
        if not apps.is_installed("adrf_sse"):
            raise ImproperlyConfigured(
                "EventStreamConsoleRenderer must find its template and its static files in the app 'adrf_sse', got "
                "INSTALLED_APPS without it. Add 'adrf_sse' to INSTALLED_APPS."
            )
        context = dict(renderer_context or {})
        if is_source(data):
            data = self.page_for(context["response"]).data
        page: str = super().render(data, accepted_media_type, context)
        return page

    def get_default_renderer(self, view: APIView) -> BaseRenderer | None:
        """Return the renderer for the data on the page: the ``data_renderer_class`` of a streaming renderer."""
        renderer: BaseRenderer | None = super().get_default_renderer(view)
        data_renderer_class = getattr(renderer, "data_renderer_class", None)
        return renderer if data_renderer_class is None else data_renderer_class()

    def get_content(self, renderer: Any, data: Any, accepted_media_type: Any, renderer_context: Any) -> str:
        """Return the data as text, or an empty string for a stream, which the panel shows."""
        if data is NotStarted:
            return ""
        content: str = super().get_content(renderer, data, accepted_media_type, renderer_context)
        return content

    def get_context(self, data: Any, accepted_media_type: Any, renderer_context: Any) -> dict[str, Any]:
        """Return the template context without the variables that REST framework's template renders as inline styles."""
        context: dict[str, Any] = super().get_context(data, accepted_media_type, renderer_context)
        actions = context["extra_actions"]
        request = renderer_context["request"]
        stream_url = self._stream_url(request, renderer_context["view"])
        return context | {
            "code_style": "",
            "extra_actions": None,
            "console_actions": actions,
            "is_stream": data is NotStarted,
            "stream_url": stream_url,
            # Quoted, because the shell of somebody who pastes it would run a $(command) in the query.
            "quoted_url": shlex.quote(f"{request.scheme}://{request.get_host()}{stream_url}"),
        }

    def _stream_url(self, request: Request, view: APIView) -> str:
        """Return the page's URL without the parameter ``?format=api`` or the suffix ``.api``."""
        url = request.get_full_path()
        parameter = api_settings.URL_FORMAT_OVERRIDE
        if parameter in request.query_params:
            url = remove_query_param(url, parameter)
        if getattr(view, "format_kwarg", None) != self.format:
            return url
        path, question_mark, query = url.partition("?")
        path, slash = path.removesuffix("/"), "/" if path.endswith("/") else ""
        return f"{path.removesuffix(self.format)}{EventStreamRenderer.format}{slash}{question_mark}{query}"
