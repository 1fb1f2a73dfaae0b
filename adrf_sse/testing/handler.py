"""The ASGI handler that serves the project to a test."""

from contextlib import ExitStack
from typing import Any

from django.core.handlers.asgi import ASGIHandler

from adrf_sse.runtime.calling_thread import keep_synchronous_calls
from adrf_sse.testing.connections import connections_stay_open

EXTENSION = "adrf_sse.testing"
"""The key in a scope's extensions of the function that prepares Django's request."""

_ON_END = "adrf_sse.testing.on_end"
"""The key in a scope of what is called when the request ends."""


class TestHandler(ASGIHandler):
    """Run Django's ASGI handler in the test's context, so that views see the data of the test's transaction."""

    __test__ = False  # pytest would collect the class because of its name.

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        keep_synchronous_calls()
        with connections_stay_open(), ExitStack() as stack:
            await self.handle({**scope, _ON_END: stack}, receive, send)

    def create_request(self, scope: Any, body_file: Any) -> Any:
        """Return the request with what a test can set and ASGI has no field for, such as the user to authenticate."""
        scope[_ON_END].callback(body_file.close)  # Django leaves it open if the request is interrupted
        request, error = super().create_request(scope, body_file)
        if request is not None:
            scope["extensions"][EXTENSION](request)
        return request, error
