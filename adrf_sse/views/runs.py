"""Views that start runs, and let clients follow and stop them."""

from collections.abc import Awaitable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import MethodNotAllowed, ParseError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from adrf_sse.brokers.runs import Created, Run
from adrf_sse.channels.channel import user_key
from adrf_sse.channels.subscription import event_number
from adrf_sse.events.json_encoders import json_encoder
from adrf_sse.exceptions import RunConflict, RunNotFound
from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.renderers.streaming import StreamingRenderer
from adrf_sse.runs.begin import Start, is_run_id, run_here
from adrf_sse.runs.bodies import lost_events
from adrf_sse.runs.follower import Follower, find_run
from adrf_sse.runs.local import end_run, reserve_run
from adrf_sse.runs.states import state_of
from adrf_sse.runtime.loops import loop_of
from adrf_sse.serializers.event_serializers import event_serializers
from adrf_sse.streams.failures import format_error_of
from adrf_sse.streams.limits import check_limits
from adrf_sse.streams.options import Options, options_of
from adrf_sse.streams.sources import AnySource
from adrf_sse.streams.stream import EventStream
from adrf_sse.views.handlers import begin_call, call, overridable
from adrf_sse.views.mixin import AsyncSSEAPIView

MAX_KEY_LENGTH = 255
"""Characters of an ``Idempotency-Key`` at most."""


class RunView(AsyncSSEAPIView):
    """Start a run with POST, follow it with GET, and stop it with DELETE.

    Route the view twice: at a path such as ``chat/``, and at ``chat/<str:run_id>/``. A client that accepts JSON gets
    the state of a run in place of its stream. The user who has started a run owns it, and others get a 404. A run that
    an anonymous client has started is open to everyone who knows its ID. The view also checks the object permissions
    for the run (``has_object_permission``).
    """

    renderer_classes: Sequence[type[BaseRenderer]] = [EventStreamRenderer, JSONRenderer]

    _start: Start
    _run: Run

    @property
    def allowed_methods(self) -> list[str]:
        """The methods of the route: a run is started at one, and followed and stopped at the other."""
        methods = super().allowed_methods
        arguments = getattr(self, "kwargs", None)
        if arguments is None:  # of no request: those of all routes
            return methods
        others = {"POST"} if "run_id" in arguments else {"GET", "HEAD", "DELETE"}
        return [method for method in methods if method not in others]

    @overridable
    def run(self, request: Request, *args: Any, **kwargs: Any) -> AnySource:
        """Return or yield the events: a source of any kind. An error before the first event is an HTTP error."""
        raise NotImplementedError(
            f"{type(self).__name__} must have run(), got none. Yield the events of the run in it."
        )

    def get_run_id(self, request: Request) -> str | Awaitable[str | None] | None:
        """Return an ID of the project's own for a new run, or ``None``. It may be a coroutine function.

        A run that has ended is replaced by a new one with its ID, if both have the same owner. While it is active, the
        response is a 409 with its ``Location``. Return only what the user may write to.
        """
        return None

    def get_run_url(self, request: Request, run_id: str) -> str:
        """Return the path of a run: the path of the request that starts it, with the run's ID."""
        slash = "/" if request.path.endswith("/") else ""
        return f"{request.path.rstrip('/')}/{run_id}{slash}"

    @overridable
    async def start(self, request: Request, run_id: str) -> None:
        """Start a run in this process. Override it to hand over to a task queue, which calls ``produce()``.

        The run is queued then. It is lost if nothing produces it within ``RUN_START_TIMEOUT``.
        """
        slot = reserve_run()
        try:
            # A coroutine is a source, too: the producer awaits it, so that a client that leaves does not cancel it.
            source = await begin_call(self.run, request, *self.args, **self.kwargs)
            producer = self._start.producer(source, slot)
        except BaseException:
            slot.release()
            raise
        try:
            await self._start.claim()
        except BaseException:
            producer.abandon()
            raise
        self._start.has_begun = True
        await run_here(producer, loop_of(request._request), float(options_of(self).first_event_timeout))

    @overridable
    async def post(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Start a run. The response is its stream, or 202 with its state."""
        if "run_id" in kwargs:
            raise MethodNotAllowed("POST")
        await sync_to_async(lambda: request.data)()  # now: the body is closed with the request
        self._select_renderer(request, self._wanted_form)
        if isinstance(request.accepted_renderer, StreamingRenderer):
            check_limits(request._request)  # before there is a run
        self._start = await self._new_start(request)
        run, created = await self._begin(request)
        if created == "foreign":
            raise RunNotFound
        headers = {"Location": self.get_run_url(request, run.id)}
        if created == "active":
            return _with_headers(self.handle_exception(RunConflict()), headers)
        run = await find_run(run.id, self.last_event_id)
        self._remember(run)
        if not isinstance(request.accepted_renderer, StreamingRenderer):
            return Response(state_of(run), status=status.HTTP_202_ACCEPTED, headers=headers)
        return Response(self._follower(run), headers=headers)

    @overridable
    async def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Follow a run, after the client's last event, or return its state."""
        run = await self._find(request, kwargs)
        self._select_renderer(request, self._wanted_form)
        if not isinstance(request.accepted_renderer, StreamingRenderer | EventStreamConsoleRenderer):
            return Response(state_of(run))
        if not run.is_active and event_number(self.last_event_id) == run.last_id:
            return HttpResponse(status=status.HTTP_204_NO_CONTENT)
        return Response(self._follower(run))

    @overridable
    async def delete(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Stop a run. One that has ended stays as it is."""
        run = await self._find(request, kwargs)
        await end_run(run.id)
        return HttpResponse(status=status.HTTP_204_NO_CONTENT)

    def reauthorize(self, request: Request) -> None:
        """Check again, also that the user may still follow the run."""
        super().reauthorize(request)
        self._check_run(request, self._run)

    async def _new_start(self, request: Request) -> Start:
        run_id = await call(self.get_run_id, request)
        streaming = [each for each in self.get_renderers() if isinstance(each, StreamingRenderer)]
        return Start(
            run_id=run_id,
            owner=user_key(request.user),
            key=_key_of(request),
            end_event=self.end_event,
            error_event=self.error_event,
            format_error=format_error_of(self),
            request=request._request,
            to_json=json_encoder(streaming[0].data_renderer_class) if streaming else None,
            serialize=event_serializers(self),
        )

    async def _begin(self, request: Request) -> tuple[Run, Created]:
        """Create the run and start it. If that fails, or if the client leaves before it has begun, there is no run."""
        try:
            run, created = await self._start.create(queued=True)
            if created == "new":
                await call(self.start, request, self._start.run_id)
        except BaseException as exc:
            if isinstance(exc, Exception) or not self._start.has_begun:
                await self._start.abandon()
            raise
        return run, created

    async def _find(self, request: Request, kwargs: dict[str, Any]) -> Run:
        """Return the run of a request, if the user may follow it."""
        run_id = kwargs.get("run_id")
        if run_id is None:
            raise MethodNotAllowed(request.method or "")
        if not is_run_id(run_id):
            raise RunNotFound
        run = await find_run(run_id, self.last_event_id)
        await sync_to_async(self._check_run)(request, run)
        self._remember(run)
        return run

    def _check_run(self, request: Request, run: Run) -> None:
        if run.owner is not None and run.owner != user_key(request.user):
            raise RunNotFound
        self.check_object_permissions(request, run)

    def _follower(self, run: Run) -> Follower:
        return Follower(run.id, self.last_event_id, run, partial(lost_events, self.end_event, self.error_event))

    def _remember(self, run: Run) -> None:
        if self._authorization is not None:
            self._authorization.remember(_run=run)

    def _event_stream(self, renderer: StreamingRenderer, source: Any, chosen: Options) -> EventStream:
        """Return a stream of events that the producer has serialized, and that has the run's own end."""
        options = Options({**vars(chosen), "end_event": None, "finite": False})
        return renderer.event_stream(source, options, None, format_error_of(self))


def _with_headers(response: Response, headers: dict[str, str]) -> Response:
    for name, value in headers.items():
        response[name] = value
    return response


def _key_of(request: Request) -> str | None:
    """Return what names the request for its user, or ``None`` without ``Idempotency-Key``. Raises ``ParseError``."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key or len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise ParseError(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters.")
    owner = user_key(request.user)
    user = f"address {BaseThrottle().get_ident(request)}" if owner is None else f"user {owner}"
    return sha256("\n".join((user, request.path, key)).encode()).hexdigest()
