"""Reauthorization: the request's authentication and permissions, checked again while its stream is open."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from functools import partial
from io import IOBase
from random import uniform
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import aget_user, get_user
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Empty, Request

from adrf_sse.runtime.loops import hold_task
from adrf_sse.runtime.stream_threads import run_in_check_thread
from adrf_sse.streams.reports import is_refusal

CHECK_TIMEOUT = 30.0
"""Seconds after which a check counts as failed. A check that hangs must not let its client read forever."""

MAX_FAILURES = 3
"""Failed checks in a row that end a stream. A client that may no longer read must not read while nobody can tell."""

RETRY_INTERVAL = 15.0
"""Seconds at most from a failed check to the next one, also if ``reauthorize_interval`` is longer."""

_AUTHENTICATED = ("user", "auser", "auth")
"""The attributes in which Django and Django REST Framework store who sent a request."""

_PLAIN = (type(None), bool, int, str, bytes, IOBase, MultiValueDict)
"""The types of attributes that can't hold a user: flags, and the body of the request."""

_NEGOTIATED = ("accepted_renderer", "accepted_media_type", "version", "versioning_scheme")
"""The other attributes that ``APIView.initial()`` sets on a request."""

_PARSED = ("_data", "_files", "_full_data")
"""The attributes in which Django REST Framework stores a parsed body."""


OnError = Callable[[Exception], None]


class Reauthorization:
    """Check every ``interval`` seconds that a stream's client may still read it.

    The check runs in a task that lives as long as the check. Events flow meanwhile.
    """

    __slots__ = ("_check", "_failures", "_interval", "_on_end", "_on_failure", "_stopped", "_task", "_timer")

    def __init__(self, interval: float, check: Callable[[], Awaitable[None]]) -> None:
        self._interval = interval
        self._check = check
        self._failures = 0  # in a row
        self._on_end: OnError | None = None
        self._on_failure: OnError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self, on_end: OnError, on_failure: OnError) -> None:
        """Begin to check. A refusal calls ``on_end`` at once, and is the last check.

        An error says nothing about the client, so the check runs again soon. The first error in a row calls
        ``on_failure``. Error number ``MAX_FAILURES`` in a row calls ``on_end``, and is the last check.
        """
        self._on_end, self._on_failure = on_end, on_failure
        self._schedule(self._interval)

    async def stop(self, timeout: float) -> None:
        """Stop checking. Cancel a check that is running, and wait for its end, at most ``timeout`` seconds."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=timeout)

    def _schedule(self, delay: float) -> None:
        if self._stopped:
            return  # the check that runs has ignored its cancellation
        # Spread, so that clients that connected together are not checked together; but never late.
        self._timer = asyncio.get_running_loop().call_later(delay * uniform(0.9, 1), self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        hold_task(self._task)

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await run_in_check_thread(self._check)
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            self._failed(RuntimeError("The check cancelled its own task."))
        except Exception as exc:
            self._failed(exc)
        else:
            self._failures = 0
            self._schedule(self._interval)

    def _failed(self, error: Exception) -> None:
        assert self._on_end is not None
        assert self._on_failure is not None
        self._failures += 1
        if is_refusal(error) or self._failures >= MAX_FAILURES:
            self._on_end(error)
            return
        if self._failures == 1:
            self._on_failure(error)
        self._schedule(min(self._interval, RETRY_INTERVAL))


def _cancelled_from_outside() -> bool:
    """Return whether the current task was cancelled, and not something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class ViewAuthorization:
    """Check a view's client again, on a fresh request: with ``reauthorize()``, if the view has that method.

    ``view`` is copied, because what it stores on itself later may be out of date.
    """

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = copy(view)

    def remember(self, **values: Any) -> None:
        """Set attributes of the view that ``reauthorize()`` is called on, to what the handler has determined."""
        vars(self._view).update(values)

    async def check(self, request: Request) -> None:
        """Raise what the view's ``reauthorize()`` raises, and ``NotAuthenticated`` if the user is another one."""
        await sync_to_async(self._check)(request)

    def _check(self, request: Request) -> None:
        view = copy(self._view)
        view.format_kwarg = view.get_format_suffix(**view.kwargs)
        view.request = again = view.initialize_request(fresh(request._request), *view.args, **view.kwargs)
        for name in _NEGOTIATED:
            setattr(again, name, getattr(request, name, None))
        if vars(request)["_full_data"] is not Empty:  # a body can be read only once
            vars(again).update({name: vars(request)[name] for name in _PARSED})
        getattr(view, "reauthorize", partial(check_client, view))(again)
        # Compared always: a request whose view never asked for the user is authenticated here.
        if not _is_same_user(again.user, request.user):
            raise NotAuthenticated


def check_client(view: Any, request: Request) -> None:
    """Authenticate a request, and check the view's permissions for it. Raises what these checks raise."""
    view.perform_authentication(request)
    view.check_permissions(request)


def fresh(request: HttpRequest) -> HttpRequest:
    """Return a copy of a request that looks up its session and its user again.

    The copy has no attribute that holds a user, whatever its name: Django, Django REST Framework and authentication
    middleware cache users under private names. Of the private attributes, it has only those that can't hold a user, so
    that a cache of another kind, in another release, ends the stream instead of letting an old user read it.
    """
    again = object.__new__(type(request))
    # copy() would leave out what can't be pickled, such as the resolver match.
    for name, value in vars(request).items():
        if name not in _AUTHENTICATED and (isinstance(value, _PLAIN) or not (name[0] == "_" or _holds_user(value))):
            setattr(again, name, value)
    if hasattr(request, "_force_auth_user"):  # by a test
        again._force_auth_user = request._force_auth_user  # type: ignore[attr-defined]
    session = getattr(request, "session", None)
    if session is not None:
        again.session = type(session)(session.session_key)
    if hasattr(request, "auser"):  # set by AuthenticationMiddleware; REST framework sets "user" too
        again.user = SimpleLazyObject(partial(get_user, again))  # type: ignore[assignment]
        again.auser = partial(aget_user, again)
    return again


def _holds_user(value: Any) -> bool:
    """Return whether a value is a user, also a lazy one, or a collection that contains one."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_holds_user, value))
    return hasattr(value.__class__, "is_authenticated")  # of a lazy object, the class of what it loads


def _is_same_user(user: Any, other: Any) -> bool:
    """Return whether two users are equal, or have the same class and the same primary key, which is not ``None``."""
    if bool(getattr(user, "is_authenticated", False)) != bool(getattr(other, "is_authenticated", False)):
        return False
    if user == other:
        return True
    key = getattr(user, "pk", None)
    return key is not None and user.__class__ is other.__class__ and key == getattr(other, "pk", None)
