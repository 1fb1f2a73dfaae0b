"""Request bodies: their memory, which is released before the first byte of a stream.

Django keeps a request's body until the request ends: in memory, up to ``FILE_UPLOAD_MAX_MEMORY_SIZE``.
"""

from io import SEEK_END, BytesIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from rest_framework.request import Empty, Request

_WITHOUT_BODY = ("GET", "HEAD")


def release_body(request: HttpRequest | None) -> None:
    """Release the memory of a body that nothing can need any more: it was read or parsed, or its method has none.

    A body that was read with ``request.body`` alone, as middleware does, may still have to be parsed, so it stays.
    """
    if not isinstance(request, ASGIRequest):
        return  # under WSGI, the body is in the server's socket
    state = vars(request)
    stream = state["_stream"]
    if request.method in _WITHOUT_BODY:
        if state.get("_body"):
            state["_body"] = b""
        elif not stream.seek(0, SEEK_END):
            return
    elif "_post" in state:
        state.pop("_body", None)
    elif "_body" in state or not state["_read_started"]:
        return
    elif stream.read(1):
        stream.seek(-1, 1)
        return
    stream.close()
    state["_stream"] = BytesIO()


def release_parsed_body(request: Request) -> None:
    """Release the memory of a body if REST framework has parsed it, so that ``request.data`` has all of it."""
    parsed = vars(request)
    if parsed["_full_data"] is not Empty and isinstance(request._request, ASGIRequest):
        if isinstance(parsed["_stream"], BytesIO):
            parsed["_stream"].close()
        state = vars(request._request)
        if state.pop("_body", None) is not None:
            state["_stream"].close()
            state["_stream"] = BytesIO()
