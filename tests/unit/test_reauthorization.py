"""Tests of the repeated authentication and permission checks while a stream is open."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace

import pytest
from adrf.views import APIView
from adrf.viewsets import ViewSet
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import OperationalError, connections
from django.http import Http404
from django.test import Client
from django.urls import path
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.decorators import permission_classes
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import BasePermission, IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.versioning import QueryParameterVersioning

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runtime.stream_threads import check_threads, stream_threads
from adrf_sse.signals import stream_closed
from adrf_sse.streams import reauthorization
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.reauthorization import Reauthorization, _is_same_user, fresh
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.support.sources import Recorder

SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
REFUSALS = [AuthenticationFailed(), PermissionDenied(), Http404()]
database = pytest.mark.django_db(transaction=True)


class Forever(AsyncSSEAPIView):
    reauthorize_interval = 0.01

    async def get(self, request):
        return Recorder("a").run_for_ever()


class Script(BasePermission):
    """Allow the first request, then return, raise or call the items of ``later``; ``calls`` counts all checks."""

    def __init__(self, *later):
        self.later = list(later)
        self.calls = 0

    def __call__(self):
        return self

    def has_permission(self, request, view):
        self.calls += 1
        answer = True if self.calls == 1 or not self.later else self.later.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class AsyncScript(Script):
    async def has_permission(self, request, view):
        await asyncio.sleep(0)
        answer = super().has_permission(request, view)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture
def reasons():
    reasons = []

    def record_reason(reason, **kwargs):
        reasons.append(reason)

    stream_closed.connect(record_reason)
    yield reasons
    stream_closed.disconnect(record_reason)


@pytest.fixture
def alice(transactional_db):
    return get_user_model().objects.create(username="alice")


def view_of(permission, base=Forever, **namespace):
    return type("View", (base,), {"permission_classes": [permission], **namespace}).as_view()


@pytest.mark.parametrize("permission", [IsAuthenticated, IsAuthenticatedOrReadOnly])
@pytest.mark.parametrize("served", [False, True], ids=["in a test", "served"])
async def test_a_logout_ends_the_users_streams(visit, alice, reasons, permission, served):
    """The stream ends even if anonymous users may read, because its events may be meant for the user only."""
    async with visit(view_of(permission), middleware=SESSIONS, user=alice, served=served) as stream:
        assert (await stream.next()).data == "a"
        await Session.objects.all().adelete()
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["revoked"]


async def test_a_stream_stays_open_while_its_checks_succeed(visit, alice, reasons):
    checks = Script()

    class View(Forever):
        permission_classes = [IsAuthenticated, checks]

        async def get(self, request):
            while checks.calls < 5:
                await asyncio.sleep(0.001)
            yield request.user.username

    async with visit(View.as_view(), middleware=SESSIONS, user=alice, served=True) as stream:
        assert await stream.body() == b"data: alice\n\n"
    assert reasons == ["completed"]


async def test_deleting_a_token_ends_the_streams_opened_with_it(visit, alice, reasons):
    token = await Token.objects.acreate(user=alice)
    view = view_of(IsAuthenticated, authentication_classes=[TokenAuthentication])
    async with visit(view, headers={"Authorization": f"Token {token.key}"}) as stream:
        await stream.next()
        await token.adelete()
        await stream.body()
    assert reasons == ["revoked"]


async def test_an_authentication_class_does_not_find_the_user_of_another_class(visit, alice, reasons):
    """REST framework sets the user on Django's request, thread_names ``SessionAuthentication`` would find it."""

    class Once(BaseAuthentication):
        users = [alice]

        def authenticate(self, request):
            return (self.users.pop(), None) if self.users else None

    view = view_of(IsAuthenticated, authentication_classes=[Once, SessionAuthentication])
    async with visit(view) as stream:
        await stream.body()
    assert reasons == ["revoked"]


@pytest.mark.parametrize("script", [Script, AsyncScript])
@pytest.mark.parametrize("refusal", [False, *REFUSALS], ids=repr)
async def test_a_denied_permission_ends_the_stream(visit, reasons, script, refusal):
    async with visit(view_of(script(True, refusal)), served=True) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["revoked"]


async def test_an_asynchronous_authentication_class_runs_again(visit, reasons):
    class Users(BaseAuthentication):
        users = ["alice", "alice"]

        async def authenticate(self, request):
            await asyncio.sleep(0)
            if not self.users:
                raise AuthenticationFailed
            return self.users.pop(), None

    async with visit(view_of(Script(), authentication_classes=[Users]), served=True) as stream:
        await stream.body()
    assert reasons == ["revoked"]
    assert Users.users == []


ERRORS = [OperationalError("secret"), APIException(), asyncio.CancelledError("secret")]
FAILURES = [(Script, error) for error in ERRORS] + [(AsyncScript, ERRORS[0])]
failures = pytest.mark.parametrize(("script", "error"), FAILURES, ids=repr)


@failures
async def test_checks_that_fail_three_times_in_a_row_end_the_stream_with_an_error_event(
    visit, reasons, caplog, script, error
):
    reported = asyncio.Event()
    got_request_exception.connect(receiver := lambda **kwargs: loop.call_soon_threadsafe(reported.set))
    loop = asyncio.get_running_loop()
    failing = script(error, error, error)
    async with visit(view_of(failing), served=True) as stream:
        assert await stream.body() == (
            b'data: a\n\nevent: error\ndata: {"detail":"A server error occurred.","code":"error"}\n\n'
        )
    await reported.wait()
    got_request_exception.disconnect(receiver)
    assert reasons == ["error"]
    assert failing.calls == 4
    assert "Recorder.run_for_ever" in caplog.text


def until_called(script, calls):
    """Return a view whose stream ends when the permission has been checked so often."""

    class View(Forever):
        permission_classes = [script]

        async def get(self, request):
            while script.calls < calls:
                await asyncio.sleep(0.001)
            yield "still open"

    return View.as_view()


@failures
async def test_a_check_that_fails_once_keeps_the_stream_and_is_logged(visit, reasons, caplog, script, error):
    async with visit(until_called(script(error), 4), served=True) as stream:
        assert await stream.body() == b"data: still open\n\n"
    assert reasons == ["completed"]
    [record] = [record for record in caplog.records if record.name == "adrf_sse"]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("GET /: could not check if the client may still read the source ")
    assert type(error).__name__ in record.error or isinstance(error, asyncio.CancelledError)


async def test_failed_checks_are_counted_anew_after_one_that_succeeds_and_logged_once_in_a_row(visit, reasons, caplog):
    error = OperationalError("away")
    async with visit(until_called(Script(error, error, True, error, error), 8), served=True) as stream:
        assert await stream.body() == b"data: still open\n\n"
    assert reasons == ["completed"]
    assert [record.levelname for record in caplog.records if record.name == "adrf_sse"] == ["WARNING"] * 2


async def test_a_refusal_after_a_failed_check_ends_the_stream_at_once(visit, reasons):
    script = Script(OperationalError("away"), PermissionDenied())
    async with visit(view_of(script), served=True) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["revoked"]
    assert script.calls == 3


@pytest.mark.parametrize(("interval", "delays"), [(60, [60, 15, 15]), (10, [10, 10, 10])])
async def test_a_check_that_failed_is_made_again_soon(interval, delays):
    ended, planned = asyncio.Event(), []

    class Immediate(Reauthorization):
        def _schedule(self, delay):
            planned.append(delay)
            super()._schedule(0)

    async def check():
        raise OperationalError

    Immediate(interval, check).start(lambda error: ended.set(), lambda error: None)
    await ended.wait()
    assert planned == delays


async def test_checks_that_time_out_end_the_stream_with_an_error_event(visit, reasons, monkeypatch):
    monkeypatch.setattr(reauthorization, "CHECK_TIMEOUT", 0.01)
    ended = threading.Event()
    async with visit(view_of(Script(ended.wait, ended.wait, ended.wait)), served=True) as stream:
        assert b"event: error" in await stream.body()
        ended.set()
    assert reasons == ["error"]


async def test_a_check_that_hangs_delays_no_other_check(visit, reasons, monkeypatch):
    """It keeps its thread, and the checks of other streams and the next one of its own stream use other threads."""
    monkeypatch.setattr(reauthorization, "CHECK_TIMEOUT", 0.01)
    monkeypatch.setattr(reauthorization, "MAX_FAILURES", 1000)  # a busy machine may be late for other checks, too
    hangs = threading.Event()

    def hang():
        hangs.wait()
        return True

    async with visit(until_called(Script(hang), 5), served=True) as stream:
        assert await stream.body() == b"data: still open\n\n"
        hangs.set()
    assert reasons == ["completed"]


async def test_checks_do_not_wait_for_the_calls_of_sources(visit, settings, reasons, monkeypatch):
    settings.ADRF_SSE = {"STREAM_THREADS": 1}
    stream_threads.reset()
    monkeypatch.setattr(reauthorization, "CHECK_TIMEOUT", 5)
    checks, go = Script(), threading.Event()

    def note():
        answer = Script.has_permission(checks, None, None)
        if checks.calls == 4:
            go.set()
        return answer

    class Permission(BasePermission):
        def has_permission(self, request, view):
            return note()

    class View(Forever):
        permission_classes = [Permission]

        async def get(self, request):
            await sync_to_async(go.wait)()
            yield "a"

    async with visit(View.as_view(), served=True) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["completed"]


async def test_there_is_no_thread_for_checks_until_a_stream_is_checked(visit):
    check_threads.reset()
    checks = Script()
    async with visit(view_of(checks, reauthorize_interval=None), served=True) as stream:
        await stream.next()
    assert check_threads.threads == []
    async with visit(until_called(checks, 5), served=True) as stream:
        await stream.body()
    assert any(thread.running for thread in check_threads.threads)


@database
async def test_the_connections_of_checks_are_closed_between_checks(visit):
    used, checks = [], Script()

    class Permission(BasePermission):
        def has_permission(self, request, view):
            get_user_model().objects.exists()
            used.append((threading.current_thread().name, connections["default"]))
            return checks.has_permission(request, view)

    class View(Forever):
        permission_classes = [Permission]

        async def get(self, request):
            while checks.calls < 4:
                await asyncio.sleep(0.001)
            yield "a"

    async with visit(View.as_view(), served=True) as stream:
        await stream.body()
    name, connection = used[-1]
    assert name == "adrf_sse checks"
    for thread in check_threads.threads:
        if thread.running:
            await asyncio.to_thread(thread.submit(len, ()).result, 30)  # after the closing
            await asyncio.to_thread(thread.submit(len, ()).result, 30)
    assert connection.connection is None


async def test_events_are_sent_while_a_check_runs_in_a_thread(visit):
    started, go, thread_names = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def block():
        thread_names.append(threading.current_thread().name)
        loop.call_soon_threadsafe(started.set)
        return go.wait()

    class View(Forever):
        permission_classes = [Script(block)]

        async def get(self, request):
            yield "a"
            await started.wait()
            yield "b"
            go.set()
            yield "c"

    async with visit(View.as_view(), served=True) as stream:
        assert [event.data for event in await stream.take(3)] == ["a", "b", "c"]
    assert thread_names == ["adrf_sse checks"]


async def test_a_disconnect_during_a_check_leaves_no_task_behind(visit, reasons):
    started, before = asyncio.Event(), asyncio.all_tasks()

    async def forever():
        started.set()
        await asyncio.Event().wait()

    class Permission(AsyncScript):
        async def has_permission(self, request, view):
            return await forever() if self.later and self.calls else await super().has_permission(request, view)

    async with visit(view_of(Permission(True)), served=True) as stream:
        await stream.next()
        await started.wait()
    assert reasons == ["disconnected"]
    assert len(open_streams) == 0
    assert asyncio.all_tasks() == before


MULTIPART_BODY = b'--a\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n--a--\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"n": "1"}', "application/json"),
        (b"n=1", "application/x-www-form-urlencoded"),
        (MULTIPART_BODY, "multipart/form-data; boundary=a"),
    ],
)
async def test_each_check_uses_a_fresh_view_and_a_fresh_request(visit, body, content_type):
    views, seen, twice = [], [], asyncio.Event()
    loop = asyncio.get_running_loop()

    class RecordingPermission(BasePermission):
        def has_permission(self, request, view):
            assert view.request is request
            match = request.resolver_match.url_name
            views.append((view, request, request._request))
            seen.append((view.action, view.kwargs, request.version, match, request.data["n"]))
            assert not hasattr(view, "checked")
            view.checked = True
            if len(seen) == 3:
                loop.call_soon_threadsafe(twice.set)
            return True

    class Viewset(EventStreamMixin, ViewSet):
        renderer_classes = [EventStreamRenderer]
        permission_classes = [RecordingPermission]
        versioning_class = QueryParameterVersioning
        reauthorize_interval = timedelta(milliseconds=5)

        async def create(self, request):
            yield request.data["n"]
            await twice.wait()
            yield "b"

    view = Viewset.as_view({"post": "create"})
    kwargs = {"data": body, "content_type": content_type, "url": "/?version=2"}
    async with visit(view, method="post", served=True, **kwargs) as stream:
        assert [event.data for event in await stream.take(2)] == ["1", "b"]
    assert [len(set(map(id, each))) for each in zip(*views[:3], strict=True)] == [3, 3, 3]
    assert seen[:3] == [("create", {}, "2", None, "1")] * 3


async def test_a_view_can_override_reauthorize(visit, reasons):
    class View(Forever):
        def reauthorize(self, request):
            super().reauthorize(request)
            raise PermissionDenied

    async with visit(View.as_view()) as stream:
        await stream.body()
    assert reasons == ["revoked"]


async def test_checks_apply_to_a_response_returned_by_a_handler(visit, reasons):
    class View(Forever):
        permission_classes = [Script(False)]

        async def get(self, request):
            return EventStreamResponse(Recorder("a").run_for_ever())

    async with visit(View.as_view()) as stream:
        await stream.body()
    assert reasons == ["revoked"]


@pytest.mark.parametrize("interval_of_route", [{}, {"reauthorize_interval": 5}])
async def test_an_unmodified_view_with_an_interval_cannot_return_a_response_that_is_not_checked(
    visit, interval_of_route
):
    class View(APIView):
        reauthorize_interval = None if interval_of_route else 60

        async def get(self, request):
            return EventStreamResponse(source.run_for_ever())

    source = Recorder("a")
    with pytest.raises(TypeError, match=r"View must return Response\(source\), or have EventStreamMixin"):
        async with visit(View.as_view(**interval_of_route)) as stream:
            await stream.body()
    assert not source.started


async def test_checks_apply_to_function_views(visit, reasons):
    @event_stream(reauthorize_interval=0.01)
    @permission_classes([Script(True, False)])
    async def view(request):
        yield "a"
        await asyncio.Event().wait()

    async with visit(view) as stream:
        await stream.body()
    assert reasons == ["revoked"]


@database
def test_checks_run_under_wsgi(settings, reasons):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view_of(Script(True, False)))]})
    assert b"".join(Client().get("/").streaming_content) == b"data: a\n\n"
    assert reasons == ["revoked"]


async def test_no_check_runs_without_reauthorize_interval(visit):
    checks = Script()
    async with visit(view_of(checks, reauthorize_interval=None, heartbeat=0.001)) as stream:
        await stream.next()
        while await stream.next_chunk() != b":\n":
            pass
    assert checks.calls == 1


def test_reauthorize_interval_of_a_response_without_a_view_is_refused():
    with pytest.raises(TypeError) as caught:
        EventStreamResponse(Recorder().run(), reauthorize_interval=5)
    assert str(caught.value) == (
        "reauthorize_interval must be an option of a view, whose permissions it checks, got 5.0 without one. "
        "Set it on an AsyncSSEAPIView, or in @event_stream."
    )
    EventStreamResponse(Recorder().run(), reauthorize_interval=None)


def test_an_invalid_interval_is_refused():
    with pytest.raises(ValueError, match="reauthorize_interval must be more than 0 seconds, got 0"):
        type("View", (AsyncSSEAPIView,), {"reauthorize_interval": 0})


async def test_a_copy_of_a_request_has_no_user_under_any_name(rf):
    request = rf.get("/")
    user = get_user_model()(pk=1, username="alice")
    request.user = request._cached_user = request._cached_under_another_name = user
    request.tenant = "shop"
    again = fresh(request)
    assert not [name for name, value in vars(again).items() if value is user]
    assert again.tenant == "shop"
    assert request.user is user


async def test_a_changed_user_ends_the_stream_even_if_the_view_never_read_the_user(visit, reasons):
    checks = []
    first_check = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Authentication(BaseAuthentication):
        user = get_user_model()(pk=1)

        def authenticate(self, request):
            checks.append(request)
            if len(checks) == 2:  # on the fresh request, and on the view's own
                loop.call_soon_threadsafe(first_check.set)
            return self.user, None

    class Lazy(Forever):
        authentication_classes = [Authentication]

        def perform_authentication(self, request):
            """Leave it to whatever asks for the user first, as REST framework's documentation allows."""

    async with visit(Lazy.as_view()) as stream:
        await stream.next()
        await first_check.wait()
        Authentication.user = get_user_model()(pk=2)
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["revoked"]


async def test_no_check_follows_one_that_ignored_its_cancellation():
    calls, begun = [], asyncio.Event()

    async def check():
        calls.append(1)
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    reauthorization = Reauthorization(0.001, check)
    reauthorization.start(calls.append, calls.append)
    await begun.wait()
    timer = reauthorization._timer
    await reauthorization.stop(5)
    assert calls == [1]
    assert reauthorization._timer is timer, "no other one is scheduled"


class Odd(APIException):
    status_code = 503

    def __init__(self):
        self.detail = "a plain text, which has no code"


async def test_a_check_that_fails_with_any_detail_ends_the_stream(visit, reasons):
    async with visit(view_of(Script(*[Odd()] * 3))) as stream:
        assert b"event: error" in await stream.body()
    assert reasons == ["error"]


ALICE = get_user_model()(pk=1, username="alice")
HOLDERS = {
    "itself": lambda user: user,
    "lazy": lambda user: SimpleLazyObject(lambda: user),
    "tuple": lambda user: (user, "backend"),
    "list": lambda user: [user],
    "set": lambda user: {user},
    "dict": lambda user: {"default": user},
    "nested": lambda user: {"default": [(SimpleLazyObject(lambda: user),)]},
}
ONLY_PRIVATE = {
    "object": lambda user: SimpleNamespace(user=user),
    "function": lambda user: lambda: user,
}


@pytest.mark.parametrize(
    ("name", "hold"),
    [(name, hold) for name in ("renamed", "_renamed") for hold in HOLDERS.values()]
    + [("_renamed", hold) for hold in ONLY_PRIVATE.values()],
)
def test_a_copy_of_a_request_has_no_user_in_any_holder(rf, name, hold):
    request = rf.get("/")
    setattr(request, name, hold(ALICE))
    assert not hasattr(fresh(request), name)


def test_a_copy_of_a_request_has_its_body_and_the_attributes_of_middleware(rf):
    request = rf.post("/?a=1", {"b": "2"})
    request.tenant, request.body_read = {"name": "shop"}, request.POST
    again = fresh(request)
    assert (again.GET["a"], again.POST["b"], again.tenant, again.method) == ("1", "2", {"name": "shop"}, "POST")
    assert again.body_read is request.POST


def renamed_user_cache(get_response):
    """Authenticate as ``AuthenticationMiddleware`` does, with a cache of another name and kind."""

    def middleware(request):
        def user():
            if not hasattr(request, "_cached_identity"):
                request._cached_identity = (get_user(request), "backend")
            return request._cached_identity[0]

        request.user = SimpleLazyObject(user)
        return get_response(request)

    return middleware


async def test_a_stream_ends_if_django_renames_its_cache_of_the_user(visit, alice, reasons):
    """The session is gone, and the user in the renamed cache must not be found again."""

    class CachedUser(BaseAuthentication):
        def authenticate(self, request):
            cached = getattr(request._request, "_cached_identity", None)
            user = cached[0] if cached else getattr(request._request, "user", None)
            return (user, None) if user is not None and user.is_authenticated else None

    view = view_of(IsAuthenticatedOrReadOnly, authentication_classes=[CachedUser])
    middleware = (SESSIONS[0], "tests.unit.test_reauthorization.renamed_user_cache")
    async with visit(view, middleware=middleware, user=alice, served=True) as stream:
        assert (await stream.next()).data == "a"
        await Session.objects.all().adelete()
        assert await stream.body() == b"data: a\n\n"
    assert reasons == ["revoked"]


class Plain:
    """A user without equality."""

    is_authenticated = True

    def __init__(self, pk=None):
        if pk is not None:
            self.pk = pk


@pytest.mark.parametrize(
    ("user", "other", "same"),
    [
        (ALICE, get_user_model()(pk=1), True),
        (ALICE, SimpleLazyObject(lambda: get_user_model()(pk=1)), True),
        (ALICE, get_user_model()(pk=2), False),
        (ALICE, AnonymousUser(), False),
        (AnonymousUser(), AnonymousUser(), True),
        (None, None, True),
        (ALICE, None, False),
        (ALICE, Group(pk=1), False),
        ("alice", "alice", True),
        ("alice", "bob", False),
        (Plain(1), Plain(1), True),
        (Plain(1), Plain(2), False),
        (Plain(1), ALICE, False),
        (Plain(), Plain(), False),
    ],
)
def test_two_users_are_the_same_only_if_that_is_known(user, other, same):
    assert _is_same_user(user, other) is same
    assert _is_same_user(other, user) is same
