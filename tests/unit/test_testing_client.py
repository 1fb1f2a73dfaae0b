"""The client's requests, which are those of ``rest_framework.test.APIClient``, and asynchronous streams."""

import asyncio
from typing import Any

import pytest
from adrf.views import APIView
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import re_path
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIClient

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
META = ("CONTENT_TYPE", "HTTP_X_COLOR", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_USER", "SERVER_NAME", "SERVER_PORT")


class HeaderAuthentication(BaseAuthentication):
    def authenticate(self, request):
        header = request.headers.get("Authorization")
        if header and header != "Token secret":
            raise AuthenticationFailed
        return (User(username="token user"), "secret") if header else None

    def authenticate_header(self, request):
        return "Token"


class Echo(AsyncSSEAPIView):
    """Send what the project has received."""

    authentication_classes = [HeaderAuthentication]

    async def get(self, request, *args, **kwargs):
        meta = {name: request.META[name] for name in META if name in request.META}
        files = {name: file.name for name, file in request.FILES.items()}
        data = request.data.dict() if hasattr(request.data, "dict") else request.data
        yield {
            "method": request.method,
            "path": request.path,
            "query": request.query_params.dict(),
            "data": {name: value for name, value in data.items() if name not in files},
            "files": files,
            "meta": meta,
            "secure": request.is_secure(),
            "host": request.get_host(),
            "cookies": request.COOKIES,
        }

    post = put = patch = delete = get


class Idle(AsyncSSEAPIView):
    async def get(self, request):
        return Recorder("a").run_for_ever()


class Short(AsyncSSEAPIView):
    async def get(self, request):
        yield "a"
        yield "b"


class Member(AsyncSSEAPIView):
    authentication_classes = [HeaderAuthentication, SessionAuthentication]
    permission_classes = [IsAuthenticated]

    async def get(self, request):
        yield {"user": request.user.username, "auth": str(request.auth)}
        while self.reauthorize_interval:
            await asyncio.sleep(0)
            yield

    post = get


@pytest.fixture
def project(settings):
    """Serve a view at every path."""

    def serve(view: Any, *middleware: str) -> EventStreamClient:
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [re_path("", view.as_view())]})
        settings.MIDDLEWARE = list(middleware)
        return EventStreamClient()

    return serve


REQUESTS = {
    "query": ("get", "/a/", {"data": {"a": "1", "b": "ü"}}, {}),
    "query in the path": ("get", "/a/?a=1&b=%C3%BC", {}, {}),
    "query_params": ("get", "/a/", {"query_params": {"a": "ü"}}, {}),
    "QUERY_STRING": ("get", "/a/", {"QUERY_STRING": "a=1"}, {}),
    "path": ("get", "/%C3%BC/a%20b/", {}, {}),
    "default format": ("post", "/a/", {"data": {"a": "ü"}}, {}),
    "json": ("post", "/a/", {"data": {"a": [1, None]}, "format": "json"}, {}),
    "multipart": ("put", "/a/", {"data": {"a": "1"}, "format": "multipart"}, {}),
    "content type": ("patch", "/a/", {"data": "a=1", "content_type": "application/x-www-form-urlencoded"}, {}),
    "JSON content type": ("delete", "/a/", {"data": '{"a":1}', "content_type": "application/json"}, {}),
    "no data": ("post", "/a/", {}, {}),
    "headers": ("get", "/a/", {"headers": {"X-Color": "red"}}, {}),
    "keys of META": ("get", "/a/", {"HTTP_X_COLOR": "red", "REMOTE_ADDR": "1.2.3.4", "REMOTE_USER": "alice"}, {}),
    "server": ("get", "/a/", {"SERVER_NAME": "localhost", "SERVER_PORT": "8000"}, {}),
    "host": ("get", "/a/", {"HTTP_HOST": "localhost:8000"}, {}),
    "secure": ("get", "/a/", {"secure": True}, {}),
    "defaults": ("get", "/a/", {}, {"HTTP_X_COLOR": "red", "REMOTE_ADDR": "1.2.3.4"}),
    "default headers": ("get", "/a/", {}, {"headers": {"X-Color": "red"}}),
}


@pytest.mark.parametrize(("method", "url", "arguments", "defaults"), REQUESTS.values(), ids=REQUESTS)
async def test_the_project_receives_what_apiclient_sends(project, method, url, arguments, defaults):
    project(Echo)
    response = await asyncio.to_thread(lambda: getattr(APIClient(**defaults), method)(url, **arguments))
    expected = b"".join(await asyncio.to_thread(lambda: list(response.streaming_content)))
    async with getattr(EventStreamClient(**defaults), method)(url, **arguments) as stream:
        assert await stream.body() == expected
        assert expected.startswith(b'data: {"method":')


async def test_a_stream_is_requested_from_a_view_that_has_other_renderers_too(project):
    class View(Short):
        renderer_classes = [JSONRenderer, EventStreamRenderer]

    client = project(View)
    async with client.get("/") as stream:
        assert (await stream.next()).data == "a"
    async with client.get("/", headers={"Accept": "application/json"}) as stream:
        assert await stream.json() == [{"data": "a"}, {"data": "b"}]


async def test_a_view_without_streams_answers(project):
    class View(APIView):
        renderer_classes = [JSONRenderer]

        async def get(self, request):
            return Response({"a": 1})

    async with project(View).get("/") as stream:
        assert await stream.json() == {"a": 1}


async def test_files_are_uploaded(project):
    file = SimpleUploadedFile("a.txt", b"text")
    async with project(Echo).post("/", {"a": "1", "file": file}, format="multipart") as stream:
        assert '"data":{"a":"1"},"files":{"file":"a.txt"}' in (await stream.next()).data


@pytest.mark.parametrize("method", ["head", "options"])
async def test_methods_without_a_stream(project, method):
    async with getattr(project(Echo), method)("/") as stream:
        assert stream.status_code == 200
        assert bool(await stream.body()) == (method == "options")


@pytest.mark.parametrize("method", ["trace", "query"])
async def test_other_methods(project, method):
    class View(AsyncSSEAPIView):
        http_method_names = ["trace", "query"]

        async def trace(self, request):
            yield request.method

        query = trace

    client = project(View)
    request = client.trace("/") if method == "trace" else client.generic("QUERY", "/", b"{}", "application/json")
    async with request as stream:
        assert (await stream.next()).data == method.upper()


UNKNOWN = {
    "format of GET": (lambda client: client.get("/", format="json"), r"get\(\) expected the keywords data, secure"),
    "misspelled": (lambda client: client.post("/", fromat="json"), r"format, content_type, .* got 'fromat'"),
    "follow": (lambda client: client.get("/", follow=True), r"Redirects are not followed"),
    "header": (lambda client: client.credentials(Authorization="x"), r"Use HTTP_AUTHORIZATION"),
    "default": (lambda client: EventStreamClient(user="x"), r"EventStreamClient\(\) expected the keywords"),
    "position": (lambda client: EventStreamClient(True), r"Expected an ASGI application, got True"),
}


@pytest.mark.parametrize(("call", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_keywords_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call(EventStreamClient())


def test_a_response_that_is_read_without_a_block_is_an_error(project):
    with pytest.raises(AttributeError, match="Expected 'status_code' to be used in 'with client"):
        _ = project(Short).get("/").status_code


def test_a_request_is_sent_once(project):
    request = project(Short).get("/")
    with request as stream:
        stream.next()
    with pytest.raises(RuntimeError, match="Call the client again"), request:
        pytest.fail("entered")


# Authentication


async def test_a_forced_user_is_authenticated(project):
    client = project(Member)
    client.force_authenticate(User(username="alice"), token="t")
    async with client.get("/") as stream:
        assert (await stream.next()).data == '{"user":"alice","auth":"t"}'
    client.force_authenticate()
    async with client.get("/") as stream:
        assert stream.status_code == 401


async def test_a_forced_user_stays_authenticated(project):
    class View(Member):
        reauthorize_interval = 0.001
        checked = asyncio.Event()

        async def get(self, request):
            yield "a"
            await self.checked.wait()
            yield "b"

        def reauthorize(self, request):
            super().reauthorize(request)
            View.checks += 1
            if View.checks == 2:
                View.loop.call_soon_threadsafe(self.checked.set)

    View.checks, View.loop = 0, asyncio.get_running_loop()
    client = project(View)
    client.force_authenticate(User(pk=1, username="alice"))
    async with client.get("/") as stream:
        assert [event.data for event in await stream.take(2)] == ["a", "b"]


async def test_credentials_are_sent_until_they_are_replaced(project):
    client = project(Member)
    client.credentials(HTTP_AUTHORIZATION="Token secret")
    for _ in range(2):
        async with client.get("/", headers={"Authorization": "ignored, as by APIClient"}) as stream:
            assert (await stream.next()).data == '{"user":"token user","auth":"secret"}'
    client.credentials()
    async with client.get("/") as stream:
        assert stream.status_code == 401


@pytest.fixture
def alice(db):
    return User.objects.create_user("alice", password="secret")


def test_login_and_logout(project, alice):
    client = project(Member, *MIDDLEWARE)
    assert not client.login(username="alice", password="wrong")
    assert client.login(username="alice", password="secret")
    with client.get("/") as stream:
        assert stream.next().data == '{"user":"alice","auth":"None"}'
    client.logout()
    with client.get("/") as stream:
        assert stream.status_code == 401
    client.force_login(alice)
    assert client.session["_auth_user_id"] == str(alice.pk)
    with client.get("/") as stream:
        assert stream.status_code == 200
    client.force_authenticate()
    with client.get("/") as stream:
        assert stream.status_code == 401


@pytest.mark.django_db(transaction=True)
async def test_login_and_logout_in_an_asynchronous_test(project):
    alice = await User.objects.acreate_user("alice", password="secret")
    client = project(Member, *MIDDLEWARE)
    assert await client.alogin(username="alice", password="secret")
    async with client.get("/") as stream:
        assert stream.status_code == 200
    await client.alogout()
    async with client.get("/") as stream:
        assert stream.status_code == 401
    await client.aforce_login(alice)
    async with client.get("/") as stream:
        assert stream.status_code == 200
    await client.alogout()
    await client.alogout()


def test_the_user_of_one_request(project, alice):
    client = project(Member, *MIDDLEWARE)
    with client.get("/", user=alice) as stream:
        assert stream.next().data == '{"user":"alice","auth":"None"}'
    with client.get("/") as stream:
        assert stream.status_code == 401


@pytest.mark.parametrize("enforced", [False, True])
def test_csrf_tokens_are_checked_on_request(project, alice, enforced):
    project(Member, *MIDDLEWARE)
    client = EventStreamClient(enforce_csrf_checks=enforced)
    client.force_login(alice)
    with client.post("/") as stream:
        assert stream.status_code == (403 if enforced else 200)


# Cookies


async def test_the_client_sends_the_cookies_of_one_request(project):
    client = project(Echo)
    async with client.get("/", cookies={"a": "1"}) as stream:
        assert '"cookies":{"a":"1"}' in (await stream.next()).data
    async with client.get("/", headers={"Cookie": "b=2"}, cookies={"a": "1"}) as stream:
        assert '"cookies":{"b":"2","a":"1"}' in (await stream.next()).data


async def test_the_client_keeps_the_cookies_of_responses(project):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            response = Response(request.COOKIES)
            response.set_cookie("a", "1")
            return response

    client = project(View)
    client.cookies["b"] = "2"
    async with client.get("/") as stream:
        assert await stream.json() == {"b": "2"}
        assert stream.cookies["a"].value == "1"
    async with client.get("/") as stream:
        assert await stream.json() == {"a": "1", "b": "2"}
    client.logout()
    async with client.get("/") as stream:
        assert await stream.json() == {}


# An application of one's own


@pytest.mark.parametrize("extra", [{"REMOTE_USER": "alice"}, {}], ids=["META", "forced user"])
def test_an_application_refuses_what_no_server_can_send(extra):
    client = EventStreamClient(get_asgi_application())
    if not extra:
        client.force_authenticate(User())
    with pytest.raises(TypeError, match=r"Use login\(\) or credentials\(\)"):
        client.get("/", **extra)


async def test_the_stream_ends_for_the_client_if_the_application_cancels_its_request():
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        asyncio.current_task().cancel()
        await receive()

    async with EventStreamClient(application).get("/") as stream:
        assert (await stream.next()).data == "1"
        with pytest.raises(StreamEnded):
            await stream.next()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_event_timeout", [0, 60])
async def test_sources_behind_synchronous_middleware_query(project, first_event_timeout):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield await User.objects.acount()
            await sent.wait()
            yield await User.objects.acount()

    View.first_event_timeout = first_event_timeout
    sent = asyncio.Event()
    async with project(View, "tests.support.middleware.sync_only").get("/") as stream:
        assert (await stream.next()).data == "0"
        await User.objects.acreate(username="alice")
        sent.set()
        assert (await stream.next()).data == "1"


# Errors


async def test_the_error_of_a_timeout_shows_what_was_received(project):
    async with project(Idle).get("/") as stream:
        await stream.next()
        with pytest.raises(TimeoutError) as caught:
            await stream.next(timeout=0.01)
    assert str(caught.value) == (
        "GET /: no data within 0.01 s. Received so far: status 200, events: 1, last bytes: b'data: a\\n\\n'."
    )


async def test_the_client_says_how_long_its_streams_wait(project):
    client = project(Idle)
    async with client.get("/") as stream:
        await stream.next()
    client.timeout = 0.01
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        async with client.get("/") as stream:
            await stream.take(2)


async def test_the_error_at_the_end_of_a_stream_shows_what_was_received(project):
    async with project(Short).get("/") as stream:
        assert [event.data async for event in stream] == ["a", "b"]
        with pytest.raises(StreamEnded, match="status 200, events: 2"):
            await stream.next()


def test_the_fixture_returns_a_client(event_stream_client):
    assert isinstance(event_stream_client, EventStreamClient)
