"""The response that contains a stream's events as one JSON list."""

import json
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import nullcontext
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from rest_framework.response import Response

from adrf_sse.runtime.contexts import thread_context
from adrf_sse.runtime.request_threads import call_after_request
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.streams.limits import Slot
from adrf_sse.streams.timers import SendTimeout

_rendering = threading.Lock()
"""Held while a long list is rendered, so that a process has the objects of only one such list in memory."""

_PARSED: Any = object()
"""Stands for the list itself, as long as nothing has replaced it."""


class ListResponse(Response):
    """A list of events, kept as JSON until a renderer of the project renders it, and released when it has been sent.

    Middleware sees an ordinary response. Django's handler for ASGI sends it in parts, so that a client that takes no
    part for ``send_timeout`` seconds is disconnected, as it is from a stream. ``response`` is the view's own, and
    ``slot`` counts the list. Lists that are sent by a test client, and not by a server, are kept.
    """

    _lines: Sequence[bytes] = ()
    _data: Any = _PARSED
    _slot: Slot | None = None
    _timeout: SendTimeout | None = None

    def __init__(
        self, lines: Sequence[bytes], slot: Slot | None, *, response: Response, send_timeout: float | None = None
    ) -> None:
        super().__init__(
            status=response.status_code,
            headers=dict(response.items()),
            exception=response.exception,
            content_type=response.content_type,
        )
        self.cookies = response.cookies
        self._post_render_callbacks = response._post_render_callbacks  # type: ignore[attr-defined]
        self._lines, self._data = lines, _PARSED
        self._slot = slot
        self._send_timeout = send_timeout
        context = thread_context()
        if context is not None:
            call_after_request(context, self._release)  # also if the client leaves before anything is sent

    @property
    def data(self) -> Any:
        """The list. It is parsed each time, because its objects take many times the memory of their JSON."""
        return _parsed(self._lines) if self._data is _PARSED else self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value

    def render(self) -> Any:
        """Render the list. Long lists are rendered one after another."""
        is_long = sum(map(len, self._lines)) > CHUNK_SIZE
        with _rendering if is_long else nullcontext():
            return super().render()

    @property
    def streaming(self) -> bool:  # type: ignore[override]
        """Whether Django's handler for ASGI is about to send the response. It asks after all middleware."""
        return self._is_served and issubclass(self._handler_class, ASGIHandler)  # type: ignore[attr-defined]

    @property
    def _is_served(self) -> bool:
        return self._handler_class is not None  # type: ignore[attr-defined]

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        body, self._lines, self.content = memoryview(self.content), (), b""
        self._timeout = SendTimeout(self._send_timeout)
        for start in range(0, len(body), CHUNK_SIZE):
            self._timeout.restart()
            yield bytes(body[start : start + CHUNK_SIZE])
        self._timeout.restart()  # for the end of the response, which also waits until the client reads

    def close(self) -> None:
        """Release the list, if it has been sent by a server."""
        if self._timeout is not None:
            self._timeout.stop()
        if self._is_served:
            self._release()
        elif self._slot is not None:
            self._slot.release()
        super().close()

    def _release(self) -> None:
        self._lines, self._data, self.content = (), _PARSED, b""
        if self._slot is not None:
            self._slot.release()

    def __getstate__(self) -> dict[str, Any]:
        """Return what caches store: the rendered response."""
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("_data", "_lines", "_slot", "_timeout")}


def _parsed(lines: Sequence[bytes]) -> list[Any]:
    """Return the values of lines of JSON."""
    return [value for part in lines for value in json.loads(b"[" + part[:-1].replace(b"\n", b",") + b"]")]
