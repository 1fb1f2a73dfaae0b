"""Request bodies: their memory, which is released before the first byte of a stream.

Django keeps a request's body until the request ends: in memory, up to ``FILE_UPLOAD_MAX_MEMORY_SIZE``.
"""

from contextlib import suppress
from io import SEEK_END, BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, QueryDict
from rest_framework.request import Empty, Request

_WITHOUT_BODY = ("GET", "HEAD")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def release_body(request: HttpRequest | None) -> None:
    """Release the memory of a body that nothing can need any more: it was read or parsed, or its method has none.

    A body that was read with ``request.body`` alone, as middleware does, may still have to be parsed, so it stays. So
    does a body that a source may be reading in another thread, whose position must not be changed.
    """
    if not isinstance(request, ASGIRequest):
        return  # under WSGI, the body is in the server's socket
    state = vars(request)
    stream = state["_stream"]
    if not isinstance(stream, SpooledTemporaryFile | BytesIO) or stream.closed:
        return  # Django's test client keeps the body itself
    if request.method in _WITHOUT_BODY:
        if state.get("_body"):
            state["_body"] = b""
            _forget_stream(state)
        elif stream.seek(0, SEEK_END):
            _forget_stream(state)
    elif _is_parsed_form(request) or ("_body" not in state and stream.tell() >= _length(request)):
        state.pop("_body", None)
        _forget_stream(state)


def release_parsed_body(request: Request) -> None:
    """Release the memory of a body if REST framework has parsed it, so that ``request.data`` has all of it."""
    parsed, data = vars(request), vars(request)["_full_data"]
    if data is Empty or not isinstance(request._request, ASGIRequest):
        return
    if isinstance(data, QueryDict) and not data:
        return  # what REST framework stores where it can't parse the body
    if isinstance(parsed["_stream"], BytesIO):
        parsed["_stream"] = BytesIO()
    state = vars(request._request)
    if state.pop("_body", None) is not None:
        _forget_stream(state)


def _is_parsed_form(request: ASGIRequest) -> bool:
    """Return whether a body's fields or files are known. Without any, it may not have been parsed: it is no form."""
    state = vars(request)
    return request.content_type in _FORMS and bool(state.get("_post") or state.get("_files"))


def _length(request: ASGIRequest) -> float:
    with suppress(KeyError, ValueError):
        return int(request.META["CONTENT_LENGTH"])
    return float("inf")


def _forget_stream(state: dict[str, Any]) -> None:
    stream, state["_stream"] = state["_stream"], BytesIO()
    if not isinstance(stream, BytesIO):  # that a lazy parser may read, and that nothing else refers to
        stream.close()
