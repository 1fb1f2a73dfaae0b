import ast
import asyncio
import inspect
from datetime import timedelta
from pathlib import Path
from typing import get_type_hints

import pytest
from adrf.views import APIView
from adrf.viewsets import ViewSet
from django.test import override_settings
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView as DRFAPIView

from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.options import OPTIONS, Options, ResponseOptions, StreamOptions, ViewOptions, options
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.support.sources import Recorder

NAMES = (
    "heartbeat, retry, first_event_timeout, max_duration, send_timeout, reauthorize_interval, finite, end_event, "
    "error_event, compress"
)
REFUSED = [
    ({"hearbeat": 3}, TypeError, f"options must be among {NAMES}, got 'hearbeat'. Remove or rename it."),
    ({"heartbeat": 0}, ValueError, "heartbeat must be more than 0 seconds, got 0. Use a finite number of seconds."),
    ({"heartbeat": True}, TypeError,
     "heartbeat must be a number of seconds or a timedelta, got True. Use a number, such as 15."),
    ({"retry": -1}, ValueError, "retry must be 0 ms or more, got -1. Use a delay that is not negative."),
    ({"first_event_timeout": None}, TypeError,
     "first_event_timeout must be a number of seconds or a timedelta, got None. Use a number, such as 15."),
    ({"finite": 1}, TypeError, "finite must be True or False, got 1. Use a bool."),
    ({"compress": "gzip"}, TypeError, "compress must be True or False, got 'gzip'. Use a bool."),
    ({"error_event": ""}, ValueError,
     "error_event must be a non-empty str, got ''. Pass a name, or omit it to use the default."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_an_invalid_option_is_refused(given, error, message):
    with pytest.raises(error) as caught:
        options(given)
    assert str(caught.value) == message


def test_omitted_options_are_read_from_the_settings():
    with override_settings(ADRF_SSE={"HEARTBEAT": 3, "RETRY": 500, "FIRST_EVENT_TIMEOUT": 0}):
        chosen = options({"heartbeat": None})
    assert chosen.heartbeat is None
    assert chosen.retry == 500
    assert chosen.first_event_timeout == 0
    assert chosen.finite is False
    assert chosen.error_event == "error"


def test_durations_can_be_timedeltas():
    chosen = options({"heartbeat": timedelta(minutes=1), "retry": timedelta(seconds=2)})
    assert (chosen.heartbeat, chosen.retry) == (60.0, 2000)


def documentation():
    """Return the line under each attribute of the table of options."""
    statements = ast.parse(inspect.getsource(StreamOptions)).body[0].body[1:]
    pairs = zip(statements[::2], statements[1::2], strict=True)
    return {option.target.id: " ".join(text.value.value.split()) for option, text in pairs}


def shown(default):
    if isinstance(default, float):
        return f"{default:g} s"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def test_the_page_of_options_shows_the_table_of_options():
    meanings = documentation()
    rows = [
        f"| `{name}` | {shown(option.default)} | {meanings[name].replace('``', '`')} |"
        for name, option in OPTIONS.items()
    ]
    page = Path(__file__).resolve().parents[2] / "docs" / "options.md"
    table = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert table == rows


def test_the_types_of_arguments_are_those_of_the_table():
    types = get_type_hints(StreamOptions)
    assert get_type_hints(ViewOptions) == types
    assert get_type_hints(ResponseOptions) == {name: types[name] for name in types if name != "reauthorize_interval"}
    assert list(get_type_hints(Options)) == list(types)


# Options for each request


class LateFailure:
    """A source that fails before its first event, when the test says so."""

    def __init__(self):
        self.started, self.fail = asyncio.Event(), asyncio.Event()

    async def run(self):
        self.started.set()
        await self.fail.wait()
        raise NotFound
        yield


@pytest.fixture
def late():
    return LateFailure()


def timeout_for(request):
    return 3600 if request.data.get("wait") else 0


def wait_longer(view):
    return timeout_for(view.request)


def view_with_a_property(late):
    class View(AsyncSSEAPIView):
        first_event_timeout = property(wait_longer)

        async def post(self, request):
            async for event in late.run():
                yield event

    return View.as_view()


def view_with_initial(late):
    class View(AsyncSSEAPIView):
        def initial(self, request, *args, **kwargs):
            super().initial(request, *args, **kwargs)
            self.first_event_timeout = timeout_for(request)

        async def post(self, request):
            return late.run()

    return View.as_view()


def viewset(late):
    class Mixed(EventStreamMixin, ViewSet):
        renderer_classes = [EventStreamRenderer]

        @property
        def first_event_timeout(self):
            return wait_longer(self) if self.action == "chat" else 0

        async def chat(self, request):
            return late.run()

    return Mixed.as_view({"post": "chat"})


def view_that_returns_a_response(late):
    class View(AsyncSSEAPIView):
        first_event_timeout = 0

        async def post(self, request):
            return EventStreamResponse(late.run(), first_event_timeout=timeout_for(request))

    return View.as_view()


def function(late):
    @event_stream(methods=["POST"])
    async def view(request):
        return EventStreamResponse(late.run(), first_event_timeout=timeout_for(request))

    return view


def renderer_alone(base):
    def view(late):
        class View(base):
            renderer_classes = [EventStreamRenderer]
            first_event_timeout = property(wait_longer)

            def post(self, request):
                return Response(late.run())

        return View.as_view()

    view.__name__ = f"{base.__module__}_with_the_renderer_alone"
    return view


PER_REQUEST = [
    view_with_a_property,
    view_with_initial,
    viewset,
    view_that_returns_a_response,
    function,
    renderer_alone(APIView),
    renderer_alone(DRFAPIView),
]
per_request = pytest.mark.parametrize("make", PER_REQUEST, ids=lambda make: make.__name__)


@per_request
async def test_an_error_within_the_timeout_of_its_request_is_an_http_error(visit, late, make):
    opening = asyncio.create_task(posted(visit(make(late), method="post", data={"wait": True}, served=True)))
    await late.started.wait()
    late.fail.set()
    assert await opening == (404, "application/json", b'{"detail":"Not found."}')


async def posted(request):
    async with request as stream:
        return stream.status_code, stream.headers["Content-Type"], await stream.body()


@per_request
async def test_an_error_after_the_timeout_of_its_request_is_an_event(visit, late, make):
    async with visit(make(late), method="post", data={}, served=True) as stream:
        assert stream.status_code == 200
        late.fail.set()
        event = await stream.next(timeout=30)
    assert (event.event, event.data) == ("error", '{"detail":"Not found.","code":"not_found"}')


async def test_reauthorize_interval_can_depend_on_the_request(visit):
    allowed = [True]

    class Allowed(BasePermission):
        def has_permission(self, request, view):
            return allowed[0]

    class View(AsyncSSEAPIView):
        permission_classes = [Allowed]

        @property
        def reauthorize_interval(self):
            return 0.01 if self.request.user.is_anonymous else None

        async def get(self, request):
            return Recorder("a").run_for_ever()

    async with visit(View.as_view(), served=True) as stream:
        assert (await stream.next()).data == "a"
        allowed[0] = False
        assert [event async for event in stream] == []


async def test_an_invalid_value_of_a_property_is_an_error_that_names_the_option(visit, caplog):
    class View(AsyncSSEAPIView):
        @property
        def first_event_timeout(self):
            return "10"

        async def get(self, request):
            yield "a"

    async with visit(View.as_view()) as stream:
        assert stream.status_code == 500
    assert "first_event_timeout must be a number of seconds or a timedelta, got '10'." in caplog.text


@pytest.mark.parametrize("base", [AsyncSSEAPIView, APIView])
async def test_an_attribute_error_in_a_property_does_not_select_the_default(visit, caplog, base):
    class View(base):
        renderer_classes = [EventStreamRenderer]

        @property
        def reauthorize_interval(self):
            return self.intervall

        async def get(self, request):
            return Response(Recorder("a").run())

    async with visit(View.as_view(), served=True) as stream:
        assert stream.status_code == 500
    assert "has no attribute 'intervall'" in caplog.text


async def test_an_api_exception_in_a_property_has_its_own_response(visit):
    body = {"data": b"{", "content_type": "application/json"}
    async with visit(view_with_a_property(LateFailure()), method="post", **body) as stream:
        assert stream.status_code == 400


def test_an_option_that_is_a_method_is_refused():
    message = (
        r"heartbeat must be a value or a property, got the method .*View\.heartbeat\(\)\. Decorate it with @property"
    )
    with pytest.raises(TypeError, match=message):

        class View(AsyncSSEAPIView):
            def heartbeat(self):
                return 5


@pytest.mark.parametrize("name", ["heartbeat", "retry", "first_event_timeout", "max_duration", "send_timeout"])
@pytest.mark.parametrize("value", [10**400, 10**5000, -(10**5000)], ids=["large", "huge", "negative"])
def test_a_number_that_is_too_large_is_an_error_that_names_the_option(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        options({name: value})
