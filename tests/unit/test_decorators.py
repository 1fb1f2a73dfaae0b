from contextlib import asynccontextmanager

import pytest
from adrf.decorators import api_view
from django.test import Client
from django.urls import path
from rest_framework.decorators import (
    api_view as sync_api_view,
)
from rest_framework.decorators import (
    authentication_classes,
    parser_classes,
    permission_classes,
    renderer_classes,
    throttle_classes,
)
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from tests.support.sources import Recorder


@event_stream
async def async_generator(request):
    """Words about prices."""
    yield "a"


@event_stream
def sync_generator(request):
    yield "a"


@event_stream
async def coroutine(request):
    return Recorder("a").run()


@event_stream
def function(request):
    return Recorder("a").run()


@event_stream
@asynccontextmanager
async def manager(request):
    yield Recorder("a").run()


@pytest.mark.parametrize("view", [async_generator, sync_generator, coroutine, function, manager])
async def test_every_kind_of_function_can_stream(visit, view):
    async with visit(view) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await stream.body() == b"data: a\n\n"


def test_the_view_is_named_after_the_function():
    assert async_generator.cls.__name__ == "async_generator"
    assert async_generator.cls.__module__ == __name__
    assert async_generator.cls().get_view_description() == "Words about prices."


@event_stream(methods=["GET", "POST"], retry=5, finite=True)
async def with_options(request, **kwargs):
    yield request.method


async def test_the_decorator_sets_methods_and_options(visit):
    async with visit(with_options) as stream:
        assert await stream.body() == b"retry: 5\ndata: GET\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"
    async with visit(with_options, method="post") as stream:
        assert b"data: POST\n\n" in await stream.body()
    async with visit(with_options, method="put") as stream:
        assert stream.status_code == 405
        assert stream.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    async with visit(with_options, method="head") as stream:
        assert await stream.body() == b""
    async with visit(with_options, headers={"Last-Event-ID": "adrf-sse-end"}) as stream:
        assert stream.status_code == 204


class Never(BaseThrottle):
    def allow_request(self, request, view):
        return False


async def test_policy_decorators_work_as_with_api_view(visit):
    source = Recorder("a")

    @event_stream
    @permission_classes([IsAuthenticated])
    @authentication_classes([])
    async def private(request):
        async for item in source.run():
            yield item

    @event_stream(methods=["POST"])
    @throttle_classes([Never])
    @parser_classes([JSONParser])
    async def limited(request):
        yield "never"

    async with visit(private) as stream:
        assert stream.status_code == 403
    assert not source.started
    async with visit(limited, method="post") as stream:
        assert stream.status_code == 429
    assert limited.cls.parser_classes == [JSONParser]


async def test_renderer_classes_below_the_decorator_override_the_default(visit):
    @event_stream
    @renderer_classes([JSONRenderer, EventStreamRenderer])
    async def view(request):
        yield "a"

    async with visit(view, headers={"Accept": "text/event-stream"}) as stream:
        assert await stream.body() == b"data: a\n\n"
    assert view.cls.renderer_classes == [JSONRenderer, EventStreamRenderer]


@pytest.fixture
def streaming_view(settings):
    @event_stream
    async def view(request):
        yield "a"

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", view)]})
    return view


def test_a_policy_decorator_above_the_decorator_is_refused(streaming_view):
    def decorate_and_request():
        permission_classes([IsAuthenticated])(streaming_view)
        Client().get("/")  # REST framework before 3.17 accepts the decorator

    with pytest.raises(TypeError, match=r"must come after|must stand below"):
        decorate_and_request()


def test_a_policy_that_an_older_rest_framework_sets_above_the_decorator_is_refused(streaming_view):
    streaming_view.permission_classes = [IsAuthenticated]  # all that REST framework 3.16 does
    with pytest.raises(TypeError) as caught:
        Client().get("/")
    assert str(caught.value) == "@permission_classes must stand below @event_stream, got it above. Swap the two."


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"methods": "GET"}, TypeError, "methods must be a list of HTTP methods, got 'GET'. Write methods=['GET']."),
        (
            {"hartbeat": 3},
            TypeError,
            "options must be among heartbeat, retry, first_event_timeout, max_duration, send_timeout, "
            "reauthorize_interval, finite, end_event, error_event, compress, got 'hartbeat'. Remove or rename it.",
        ),
        (
            {"permission_classes": [IsAuthenticated]},
            TypeError,
            "@event_stream must get options, got permission_classes. Write @permission_classes([…]) below "
            "@event_stream.",
        ),
        (
            {"heartbeat": "3"},
            TypeError,
            "heartbeat must be a number of seconds or a timedelta, got '3'. Use a number, such as 15.",
        ),
    ],
)
def test_an_invalid_argument_is_refused_when_the_function_is_decorated(arguments, error, message):
    with pytest.raises(error) as caught:
        event_stream(**arguments)
    assert str(caught.value) == message


# Wrong places


class Methods:
    async def get(self, request):
        yield "a"

    @staticmethod
    async def static(request):
        yield "a"


@api_view(["GET"])
async def view(request):
    return Response()


def no_function(value):
    return f"@event_stream must decorate a function that takes a request, got {value}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["GET"], no_function("['GET']. Pass methods by name: @event_stream(methods=['GET']).")),
        ("GET", no_function("'GET'. Pass methods by name: @event_stream(methods=['GET']).")),
        (Methods, no_function("the class Methods. Let the class derive from AsyncSSEAPIView.")),
        (
            Methods.get,
            no_function("the method Methods.get. Put EventStreamMixin in front of its view class, and yield there."),
        ),
        (view, no_function(f"the view {view.__qualname__}. Remove @api_view: this replaces it.")),
        (async_generator, no_function(f"the view {async_generator.__qualname__}. Remove @api_view: this replaces it.")),
    ],
    ids=["list", "str", "class", "method", "above @api_view", "twice"],
)
@pytest.mark.parametrize("decorate", [event_stream, event_stream(methods=["POST"])])
def test_what_is_no_function_of_a_request_is_refused_when_it_is_decorated(decorate, value, message):
    with pytest.raises(TypeError) as caught:
        decorate(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("function", [Methods.static, Methods().static], ids=["class", "instance"])
async def test_a_static_method_can_stream(visit, function):
    async with visit(event_stream(function)) as stream:
        assert await stream.body() == b"data: a\n\n"


@pytest.mark.parametrize("decorator", [api_view, sync_api_view])
def test_a_stream_below_api_view_is_refused_when_it_is_called(settings, decorator):
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", decorator(["GET"])(async_generator))]})
    with pytest.raises(TypeError) as caught:
        Client().get("/")
    assert str(caught.value) == (
        "an @event_stream view must be called by Django with an HttpRequest, got REST framework's Request for GET /. "
        "Remove @api_view above @event_stream: it replaces @api_view."
    )
