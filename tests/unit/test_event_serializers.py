"""Tests of events whose data is serialized."""

import asyncio
import logging
import threading
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest
from adrf import serializers as async_serializers
from adrf.fields import SerializerMethodField as AsyncMethodField
from adrf.viewsets import GenericViewSet, ViewSet
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer

from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.serializers.plain import is_plain, is_plain_data
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin


class PriceSerializer(serializers.Serializer):
    eur = serializers.DecimalField(max_digits=8, decimal_places=2)


class DoubledSerializer(serializers.BaseSerializer):
    def to_representation(self, instance):
        return {"doubled": instance * 2}


class AsyncNameSerializer(async_serializers.Serializer):
    name = AsyncMethodField()

    async def get_name(self, value):
        await asyncio.sleep(0)
        return f"Name {value['number']}"


class ThreadSerializer(serializers.BaseSerializer):
    """Return the name of the thread in which it runs."""

    def to_representation(self, instance):
        return threading.current_thread().name


class WaitingSerializer(async_serializers.BaseSerializer):
    """Call ``context["view"].waiting`` and wait for ever the first time."""

    async def ato_representation(self, instance):
        waiting, self.context["view"].waiting = self.context["view"].waiting, None
        if waiting is not None:
            waiting()
            await asyncio.Event().wait()
        return instance


def view_of(*items, **attributes):
    """Return a view that streams these items."""

    async def get(self, request):
        for item in items:
            yield item

    return type("View", (AsyncSSEAPIView,), {"get": get, **attributes}).as_view()


async def body_of(visit, view, **kwargs):
    async with visit(view, **kwargs) as stream:
        assert stream.status_code == 200
        return await stream.body()


# Serialized data


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    ("declared", "data", "sent"),
    [
        (PriceSerializer, {"eur": Decimal("1.5"), "secret": 1}, b'{"eur":"1.50"}'),
        (PriceSerializer(), {"eur": 2}, b'{"eur":"2.00"}'),
        (PriceSerializer(many=True), [{"eur": 1}, {"eur": 2}], b'[{"eur":"1.00"},{"eur":"2.00"}]'),
        (DoubledSerializer, 21, b'{"doubled":42}'),
        (AsyncNameSerializer, {"number": 1}, b'{"name":"Name 1"}'),
        (AsyncNameSerializer(many=True), [{"number": 1}, {"number": 2}], b'[{"name":"Name 1"},{"name":"Name 2"}]'),
        (serializers.DateField, date(2030, 1, 2), b"2030-01-02"),
        (serializers.DecimalField(max_digits=4, decimal_places=1), Decimal(3), b"3.0"),
        (serializers.JSONField, {"as": ["it", "is"]}, b'{"as":["it","is"]}'),
    ],
    ids=["serializer", "instance", "many", "base", "async", "async-many", "field", "field-instance", "json"],
)
async def test_data_is_serialized_by_the_serializer_of_the_events_name(visit, declared, data, sent, served):
    view = view_of(("price", data), ("price", data, 7), event_serializers={"price": declared})
    frame = b"event: price\ndata: " + sent + b"\n\n"
    assert await body_of(visit, view, served=served) == frame + b"id: 7\n" + frame


async def test_events_with_several_names_keep_their_order(visit):
    numbers = range(40)
    view = view_of(
        *[("name", {"number": n}) if n % 3 else ("doubled", n) for n in numbers],
        event_serializers={"name": AsyncNameSerializer, "doubled": DoubledSerializer},
    )
    frames = [
        b'event: name\ndata: {"name":"Name %d"}\n\n' % n
        if n % 3
        else b'event: doubled\ndata: {"doubled":%d}\n\n' % (2 * n)
        for n in numbers
    ]
    assert await body_of(visit, view) == b"".join(frames)


async def test_the_other_fields_of_an_event_are_kept(visit):
    event = ServerSentEvent({"eur": 1}, event="price", id="é", retry=5, comment="Hm")
    view = view_of(event, event_serializers={"price": PriceSerializer})
    expected = ': Hm\nretry: 5\nid: é\nevent: price\ndata: {"eur":"1.00"}\n\n'.encode()
    assert await body_of(visit, view) == expected


async def test_serializer_class_serializes_events_without_a_name(visit):
    items = ({"eur": 1}, ServerSentEvent({"eur": 2}, id=2), ("other", {"eur": 3}))
    named = b'event: other\ndata: {"eur":3}\n\n'
    unnamed = b'data: {"eur":"1.00"}\n\nid: 2\ndata: {"eur":"2.00"}\n\n'
    assert await body_of(visit, view_of(*items, serializer_class=PriceSerializer)) == unnamed + named


async def test_text_is_serialized_like_other_data(visit):
    view = view_of(
        "b", ("word", "c"), serializer_class=DoubledSerializer, event_serializers={"word": DoubledSerializer}
    )
    assert await body_of(visit, view) == b'data: {"doubled":"bb"}\n\nevent: word\ndata: {"doubled":"cc"}\n\n'


@pytest.mark.parametrize(
    ("event_serializers", "sent"),
    [(None, b'data: {"eur":1}\n\n'), ({}, b'data: {"eur":"1.00"}\n\n')],
    ids=["untyped", "typed"],
)
async def test_a_generic_views_serializer_class_is_used_only_with_event_serializers(visit, event_serializers, sent):
    class Prices(EventStreamMixin, GenericViewSet):
        renderer_classes = [EventStreamRenderer]
        serializer_class = PriceSerializer

        async def list(self, request):
            yield {"eur": 1}

    Prices.event_serializers = event_serializers
    assert await body_of(visit, Prices.as_view({"get": "list"})) == sent


@pytest.mark.django_db(transaction=True)
async def test_a_generic_views_get_serializer_class_and_context_are_used(visit):
    class Shout(serializers.Serializer):
        word = serializers.SerializerMethodField()

        def get_word(self, instance):
            return self.context["mark"] * 3 + instance["word"] + self.context["view"].action

    class Words(EventStreamMixin, GenericViewSet):
        renderer_classes = [EventStreamRenderer]
        event_serializers = {}

        def get_serializer_class(self):
            return Shout

        def get_serializer_context(self):
            # The context may query the database, because it is created in a thread where that is safe.
            get_user_model().objects.exists()
            return super().get_serializer_context() | {"mark": "!"}

        async def list(self, request):
            yield {"word": "a-"}

    assert await body_of(visit, Words.as_view({"get": "list"})) == b'data: {"word":"!!!a-list"}\n\n'


@pytest.mark.parametrize("declare", [lambda serializer: serializer, lambda serializer: serializer()])
async def test_serializers_receive_the_views_context(visit, declare):
    class Context(serializers.BaseSerializer):
        def to_representation(self, instance):
            view, request = self.context["view"], self.context["request"]
            return [type(view).__name__, view.request is request, request.GET["q"], self.context["format"]]

    view = view_of(("context", 1), event_serializers={"context": declare(Context)})
    assert await body_of(visit, view, url="/?q=a") == b'event: context\ndata: ["View",true,"a",null]\n\n'


async def test_events_without_data_are_not_serialized(visit):
    view = view_of(
        b"data: encoded\n\n",
        ServerSentEvent(comment="Hm"),
        ServerSentEvent(id=4),
        ServerSentEvent(retry=9),
        ServerSentEvent(event="price"),
        ("price", None),
        ServerSentEvent({"last_event_id": 4}, event="reset"),
        event_serializers={"price": PriceSerializer},
        finite=True,
        retry=5,
    )
    assert await body_of(visit, view) == (
        b"retry: 5\ndata: encoded\n\n: Hm\nid: 4\nretry: 9\n"
        b"event: price\ndata:\n\nevent: price\ndata: null\n\n"
        b'event: reset\ndata: {"last_event_id":4}\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n'
    )


# Every kind of view and source


@event_stream(event_serializers={"price": PriceSerializer}, serializer_class=DoubledSerializer)
async def function(request):
    yield "price", {"eur": 1}
    yield 3


@event_stream(event_serializers={"price": PriceSerializer}, serializer_class=DoubledSerializer)
def sync_function(request):
    yield "price", {"eur": 1}
    yield 3


class Typed(EventStreamMixin, ViewSet):
    renderer_classes = [EventStreamRenderer]
    event_serializers = {"price": PriceSerializer}
    serializer_class = DoubledSerializer

    @action(detail=False)
    async def events(self, request):
        yield "price", {"eur": 1}
        yield 3

    @action(detail=False, event_serializers={"other": DoubledSerializer})
    async def others(self, request):
        yield "other", 1

    @asynccontextmanager
    async def list(self, request):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            yield self.events(request)


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    "view",
    [function, sync_function, Typed.as_view({"get": "events"}), Typed.as_view({"get": "list"})],
    ids=["function", "sync", "action", "manager"],
)
async def test_events_of_every_kind_of_view_and_source_are_serialized(visit, view, served):
    expected = b'event: price\ndata: {"eur":"1.00"}\n\ndata: {"doubled":6}\n\n'
    assert await body_of(visit, view, served=served) == expected


async def test_an_action_can_have_its_own_event_serializers(visit):
    view = Typed.as_view({"get": "others"}, **Typed.others.kwargs)
    assert await body_of(visit, view) == b'event: other\ndata: {"doubled":2}\n\n'


async def test_event_serializers_can_be_a_property(visit):
    class View(AsyncSSEAPIView):
        @property
        def event_serializers(self):
            return {self.request.GET["name"]: DoubledSerializer}

        async def get(self, request):
            yield "a", 1

    assert await body_of(visit, View.as_view(), url="/?name=a") == b'event: a\ndata: {"doubled":2}\n\n'
    async with visit(View.as_view(), url="/?name=b") as stream:
        assert stream.status_code == 500


# Mistakes


UNDECLARED = (
    "an event must be one that event_serializers declares ('price', 'done'), got 'prize' with the data {'eur': 1}. "
    "Rename it, or declare its serializer on the view."
)
UNNAMED = (
    "an event must be one that event_serializers declares ('price', 'done'), got an event without a name with the data "
    "'hello'. Name it, or declare serializer_class on the view."
)
DECLARED = {"price": PriceSerializer, "done": serializers.JSONField}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("prize", {"eur": 1}), UNDECLARED),
        (ServerSentEvent({"eur": 1}, event="prize"), UNDECLARED),
        ("hello", UNNAMED),
        (ServerSentEvent("hello", id=1), UNNAMED),
    ],
    ids=["tuple", "event", "text", "event-without-name"],
)
async def test_an_undeclared_first_event_is_a_500_response(visit, caplog, item, message):
    async with visit(view_of(item, event_serializers=DECLARED)) as stream:
        assert stream.status_code == 500
    error = caplog.records[-1].exc_info[1]
    assert isinstance(error, ValueError)
    assert str(error) == message


async def test_an_undeclared_later_event_becomes_an_error_event(visit, caplog):
    view = view_of(("price", {"eur": 1}), ("prize", {"eur": 1}), ("done", 1), event_serializers=DECLARED)
    assert await body_of(visit, view) == (
        b'event: price\ndata: {"eur":"1.00"}\n\n'
        b'event: error\ndata: {"detail":"A server error occurred.","code":"error"}\n\n'
    )
    (record,) = [record for record in caplog.records if record.name == "adrf_sse" and record.levelno >= logging.ERROR]
    assert str(record.exc_info[1]) == UNDECLARED


async def test_an_error_in_a_serializer_before_the_first_event_is_a_500_response(visit, caplog):
    view = view_of(("price", {"usd": 1}), event_serializers=DECLARED)
    async with visit(view) as stream:
        assert stream.status_code == 500
    assert "KeyError when attempting to get a value for field `eur`" in str(caplog.records[-1].exc_info[1])


async def test_a_tuple_that_is_not_an_event_is_refused(visit, caplog):
    async with visit(view_of((1, 2, 3, 4), event_serializers=DECLARED)) as stream:
        assert stream.status_code == 500
    assert "a tuple must be (event, data)" in str(caplog.records[-1].exc_info[1])


MISTAKES = [
    (
        {"event_serializers": [PriceSerializer]},
        TypeError,
        f"event_serializers must be a dict of event names and serializers, got [{PriceSerializer!r}]. "
        'Write event_serializers = {"price": PriceSerializer}.',
    ),
    (
        {"event_serializers": {"price": dict}},
        TypeError,
        "event_serializers['price'] must be a serializer or a field, got <class 'dict'>. Use a serializer's class, "
        "SerializerClass(many=True), or a field such as serializers.CharField().",
    ),
    (
        {"event_serializers": {1: PriceSerializer}},
        TypeError,
        "a name in event_serializers must be a non-empty str, got 1. Name the event with a string.",
    ),
    (
        {"event_serializers": {"a\nb": PriceSerializer}},
        ValueError,
        "a name in event_serializers must be a single line, got a line feed in 'a\\nb'. "
        "Remove it, or send the text as data.",
    ),
    (
        {"serializer_class": "PriceSerializer"},
        TypeError,
        "serializer_class must be a serializer or a field, got 'PriceSerializer'. Use a serializer's class, "
        "SerializerClass(many=True), or a field such as serializers.CharField().",
    ),
]


@pytest.mark.parametrize(("attributes", "error", "message"), MISTAKES)
def test_invalid_event_serializers_are_refused_when_the_view_is_created(attributes, error, message):
    with pytest.raises(error) as caught:
        view_of(**attributes)
    assert str(caught.value) == message

    async def source(request):
        yield 1

    with pytest.raises(error) as caught:
        event_stream(**attributes)(source)
    assert str(caught.value) == message


# Where serializers run


async def test_serializers_run_in_a_stream_thread_and_not_in_the_event_loop(visit):
    view = view_of(("thread", 1), ("thread", 2), event_serializers={"thread": ThreadSerializer})
    frame = b"event: thread\ndata: adrf_sse streams\n\n"
    assert await body_of(visit, view, served=True) == frame * 2


@pytest.mark.django_db(transaction=True)
async def test_a_serializer_can_use_the_orm(visit):
    class UserSerializer(serializers.ModelSerializer):
        groups = serializers.SlugRelatedField("name", many=True, read_only=True)

        class Meta:
            model = get_user_model()
            fields = ["username", "groups"]

    user = await get_user_model().objects.acreate(username="ada")
    await (await sync_to_async(lambda: user.groups)()).acreate(name="poets")
    view = view_of(("user", user), event_serializers={"user": UserSerializer})
    assert await body_of(visit, view) == b'event: user\ndata: {"username":"ada","groups":["poets"]}\n\n'


async def test_plain_data_and_a_plain_serializer_do_not_wait_for_a_thread(visit):
    """The second event is sent while the stream's thread is busy: only the first event waits for the thread."""
    go = threading.Event()

    class View(AsyncSSEAPIView):
        event_serializers = {"price": PriceSerializer}

        async def get(self, request):
            yield "price", {"eur": 1}
            async with asyncio.TaskGroup() as group:
                busy = asyncio.Event()
                loop = asyncio.get_running_loop()
                group.create_task(sync_to_async(lambda: (loop.call_soon_threadsafe(busy.set), go.wait()))())
                await busy.wait()
                yield "price", {"eur": 2}

    try:
        async with visit(View.as_view(), served=True) as stream:
            assert [event.data for event in await stream.take(2)] == ['{"eur":"1.00"}', '{"eur":"2.00"}']
            go.set()
    finally:
        go.set()


class Overridden(PriceSerializer):
    def to_representation(self, instance):
        return super().to_representation(instance)


class Method(serializers.Serializer):
    eur = serializers.SerializerMethodField()


class OwnField(serializers.Serializer):
    eur = type("Own", (serializers.CharField,), {})()


class CallableDefault(serializers.Serializer):
    eur = serializers.CharField(default=lambda: "1")


class Nested(serializers.Serializer):
    prices = PriceSerializer(many=True)
    count = serializers.IntegerField(default=1)


class AsyncPlain(async_serializers.Serializer):
    eur = serializers.CharField()


@pytest.mark.parametrize(
    ("serializer", "plain"),
    [
        (PriceSerializer(), True),
        (PriceSerializer(many=True), True),
        (Nested(), True),
        (AsyncPlain(), True),
        (AsyncPlain(many=True), True),
        (serializers.CharField(), True),
        (serializers.CharField(default=str), False),
        (Overridden(), False),
        (Overridden(many=True), False),
        (Method(), False),
        (OwnField(), False),
        (CallableDefault(), False),
        (DoubledSerializer(), False),
        (AsyncNameSerializer(), False),
        (serializers.SlugRelatedField("name", read_only=True), False),
    ],
)
def test_a_serializer_is_plain_if_it_runs_only_rest_framework_code(serializer, plain):
    assert is_plain(serializer) is plain


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        ({"a": [1, 2.5, None, True, Decimal(1), date(2030, 1, 1), {"b": "c"}]}, True),
        ("text", True),
        ({"a": object()}, False),
        ([lambda: 1], False),
        (type("Text", (str,), {})(), False),
        (type("Dict", (dict,), {})(), False),
        ((1, 2), False),
    ],
)
def test_data_is_plain_if_it_has_only_builtin_types(data, plain):
    assert is_plain_data(data) is plain


# Pauses and ends


def waiting_view(handler, **attributes):
    attributes = {"event_serializers": {"n": WaitingSerializer}, "waiting": None, **attributes}
    return type("View", (AsyncSSEAPIView,), {"get": handler, **attributes}).as_view()


async def test_a_timeout_around_a_yield_works_while_its_event_is_serialized(visit):
    async def get(self, request):
        try:
            async with asyncio.timeout(None) as scope:
                self.waiting = lambda: scope.reschedule(asyncio.get_running_loop().time())
                yield "n", 1
        except TimeoutError:
            yield "n", 2
        yield "n", 3

    frames = b"".join(b"event: n\ndata: %d\n\n" % n for n in (1, 2, 3))
    assert await body_of(visit, waiting_view(get)) == frames


async def test_a_source_can_end_when_its_timeout_expires(visit):
    async def get(self, request):
        try:
            async with asyncio.timeout(None) as scope:
                self.waiting = lambda: scope.reschedule(asyncio.get_running_loop().time())
                yield "n", 1
        except TimeoutError:
            return

    assert (
        await body_of(visit, waiting_view(get, finite=True))
        == b"event: n\ndata: 1\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"
    )


async def test_events_yielded_before_a_task_group_fails_are_delivered(visit, caplog):
    @asynccontextmanager
    async def get(self, request):
        failing = asyncio.Event()
        self.waiting = failing.set

        async def fail():
            await failing.wait()
            raise LookupError("lost")

        async def numbers():
            yield "n", 1
            yield "n", 2

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield numbers()

    body = await body_of(visit, waiting_view(get, first_event_timeout=0))
    assert body == b'event: n\ndata: 1\n\nevent: error\ndata: {"detail":"A server error occurred.","code":"error"}\n\n'
    assert isinstance(caplog.records[-1].exc_info[1], LookupError)


async def test_a_client_can_disconnect_while_an_event_is_serialized(visit):
    serializing, seen = asyncio.Event(), []

    async def get(self, request):
        self.waiting = serializing.set
        task = asyncio.current_task()
        try:
            yield "n", 1
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append(asyncio.current_task() is task)

    async with visit(waiting_view(get, first_event_timeout=0)):
        await serializing.wait()
    assert seen == ["cancelled", True]


async def test_a_client_that_does_not_read_pauses_the_source(visit):
    """The source runs ahead of the client by at most one chunk."""
    sent = []

    class View(AsyncSSEAPIView):
        event_serializers = {"n": DoubledSerializer}

        async def get(self, request):
            for _ in range(8):
                sent.append(1)
                yield "n", "x" * (CHUNK_SIZE // 4)

    async with visit(View.as_view()) as stream:
        total = len((await stream.next()).data)
        assert len(sent) < 8
        async for event in stream:
            total += len(event.data)
    assert len(sent) == 8
    assert total == 8 * (2 * (CHUNK_SIZE // 4) + len('{"doubled":""}'))


async def test_a_response_without_a_stream_is_not_serialized(visit):
    class View(AsyncSSEAPIView):
        renderer_classes = [EventStreamRenderer, JSONRenderer]
        event_serializers = {"price": PriceSerializer}

        async def get(self, request):
            yield "price", {"eur": 1}

    async with visit(View.as_view(), method="options") as stream:
        assert stream.status_code == 200
        assert (await stream.json())["name"] == "View"


async def test_the_names_of_the_package_and_of_the_options_are_always_allowed(visit):
    own = [(name, {"n": 1}) for name in ("ready", "reset", "end", "error", "failed", "complete")]
    view = view_of(*own, event_serializers=DECLARED, error_event="failed", end_event=("complete", ""))
    frames = [f'event: {name}\ndata: {{"n":1}}\n\n'.encode() for name, _ in own]
    assert await body_of(visit, view) == b"".join(frames) + b"event: complete\ndata:\n\n"


async def test_an_own_event_that_is_declared_is_serialized(visit):
    view = view_of(("end", {"eur": 1, "secret": 2}), event_serializers={"end": PriceSerializer})
    assert await body_of(visit, view) == b'event: end\ndata: {"eur":"1.00"}\n\n'


async def test_the_end_event_and_a_formatted_error_are_not_serialized(visit):
    class View(AsyncSSEAPIView):
        event_serializers = DECLARED
        end_event = ("over", {"n": 1})

        async def get(self, request):
            yield "price", {"eur": 1}
            if "fail" in request.GET:
                raise ValueError

        def format_error(self, exc):
            return "oops", {"n": 2}

    price = b'event: price\ndata: {"eur":"1.00"}\n\n'
    assert await body_of(visit, View.as_view()) == price + b'event: over\ndata: {"n":1}\n\n'
    async with visit(View.as_view(), url="/?fail=1") as stream:
        assert await stream.body() == price + b'event: oops\ndata: {"n":2}\n\n'
