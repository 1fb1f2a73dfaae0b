"""What the views on the pages about options, sources and views do, as the pages say."""

import asyncio

import pytest
from adrf.viewsets import ModelViewSet
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.decorators import action
from rest_framework.routers import SimpleRouter

from adrf_sse.channels import apublish
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.testing import EventStreamClient, StreamEnded
from adrf_sse.views import EventStreamMixin, LiveModelMixin
from tests.docs.conftest import SESSIONS
from tests.docs.pages import page_examples
from tests.docs.stand_ins import OrderSerializer
from tests.docs.streams import PROMPT, STREAM, body_of, events_of, example
from tests.project.orders.models import Order


def install(settings, viewset):
    """Serve the viewset of orders below ``/orders/``."""
    router = SimpleRouter()
    router.register("orders", viewset)
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": router.urls})


@pytest.mark.parametrize("code", ["def first_event_timeout", "self.first_event_timeout =", "compress = True"])
async def test_a_chat_with_its_options_streams(code, visit):
    view = example("options.md", "Chat", code).as_view()
    events = await events_of(visit(view, method="post", **STREAM))
    assert len(events) == 2


@pytest.mark.parametrize("code", ["def first_event_timeout", "self.first_event_timeout ="])
async def test_the_timeout_depends_on_the_request(code, settings):
    timeouts = []

    class Chat(example("options.md", "Chat", code)):
        async def post(self, request):
            timeouts.append(self.first_event_timeout)
            yield "token", 1

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("", Chat.as_view())]})
    for options in (STREAM, PROMPT):
        await events_of(EventStreamClient().post("/", **options))
    assert timeouts == [10, 1]


@pytest.mark.django_db(transaction=True)
async def test_the_orders_of_a_user_are_streamed(visit):
    user = await User.objects.acreate(username="alice")
    await Order.objects.acreate(item="Tea pot", user=user)
    await Order.objects.acreate(item="Cup")
    view = page_examples("options.md")["Orders"].as_view()
    assert await events_of(visit(view, user=user, middleware=SESSIONS)) == [("order", '{"item":"Tea pot"}')]


@pytest.mark.django_db(transaction=True)
async def test_an_order_that_the_user_loses_ends_the_stream(settings):
    user = await User.objects.acreate(username="alice")
    order = await Order.objects.acreate(user=user)
    arrived = asyncio.Event()

    class Status(page_examples("options.md")["OrderStatus"]):
        reauthorize_interval = 0.01

        async def get(self, request, pk):
            async for event in super().get(request, pk):
                yield event
            await arrived.wait()

    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": [path("<int:pk>/", Status.as_view())]})
    settings.MIDDLEWARE = SESSIONS
    async with EventStreamClient(get_asgi_application()).get(f"/{order.pk}/", user=user) as stream:
        assert (await stream.next(timeout=30)).data == "new"
        await Order.objects.filter(pk=order.pk).aupdate(user=None)
        with pytest.raises(StreamEnded):
            await stream.next(timeout=30)


async def test_a_task_group_merges_sources(visit):
    async with visit(page_examples("sources.md")["NewsAndWeather"].as_view()) as stream:
        assert {event.event: event.data for event in await stream.take(2)} == {
            "news": "Nothing new",
            "weather": "Sun",
        }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", ["sync_to_async(serialize)", "Order.objects.all()"])
async def test_a_source_reads_the_database(code, visit):
    user = await User.objects.acreate(username="alice")
    order = await Order.objects.acreate(item="Tea pot", user=user)
    events = await events_of(visit(example("sources.md", "Orders", code).as_view()))
    assert events[0] == ("order", '{"item":"Tea pot","user":"alice"}')
    assert events[1:] in ([], [("newest", f'{{"id":{order.pk},"item":"Tea pot"}}')])


async def test_a_viewset_streams_a_list(visit):
    view = page_examples("views.md")["Prices"].as_view({"get": "list"})
    assert await events_of(visit(view)) == [("price", '{"eur":1.5}'), ("price", '{"eur":1.25}')]


@pytest.mark.parametrize(
    ("name", "code", "last"),
    [
        ("Chat", "", ("token", '{"text":"b"}')),
        ("chat", "", (None, "b")),
        ("Completions", "format_error", (None, '{"text":"b"}')),
        ("Completions", "end_event", (None, "[DONE]")),
        ("Completions", "wants_stream", (None, '{"text":"b"}')),
    ],
)
async def test_a_view_of_a_model_streams_its_answer(name, code, last, visit):
    view = example("views.md", name, code)
    view = view.as_view() if isinstance(view, type) else view
    assert (await events_of(visit(view, method="post", **STREAM)))[-1] == last


async def test_without_stream_in_the_body_the_answer_is_a_list(visit):
    view = example("views.md", "Completions", "wants_stream").as_view()
    assert await body_of(visit(view, method="post", **PROMPT)) == '[{"data":{"text":"a"}},{"data":{"text":"b"}}]'


async def test_an_error_has_the_form_that_the_client_expects(visit):
    class Failing(example("views.md", "Completions", "format_error")):
        async def post(self, request):
            yield 1
            raise OSError

    _, error = await events_of(visit(Failing.as_view(), method="post", **STREAM))
    assert error == (None, '{"error":{"message":"The model is overloaded.","type":"server_error"}}')


async def test_a_client_that_has_seen_the_end_gets_204(visit):
    view = page_examples("views.md")["progress"]
    async with visit(view) as stream:
        *_, end = [event async for event in stream]
    async with visit(view, headers={"Last-Event-ID": end.id}) as response:
        assert response.status_code == 204


@pytest.mark.django_db(transaction=True)
async def test_an_action_of_a_viewset_streams_a_channel(settings):
    order = await Order.objects.acreate(item="Tea pot")
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.memory.MemoryBroker"}}
    install(settings, page_examples("views.md")["OrderViewSet"])
    channel, url = f"orders.{order.pk}", f"/orders/{order.pk}/events/"
    first = await apublish(channel, "ordered")
    await apublish(channel, "paid")
    async with EventStreamClient(get_asgi_application()).get(url, {"last_event_id": first}) as stream:
        assert (await stream.next()).data == "paid"
    async with EventStreamClient(get_asgi_application()).get("/orders/0/events/") as response:
        assert response.status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_an_action_of_a_viewset_streams_the_progress_of_a_request(settings):
    order = await Order.objects.acreate(item="Tea pot")
    install(settings, page_examples("views.md")["OrderViewSet"])
    events = await events_of(EventStreamClient().post(f"/orders/{order.pk}/shipping/"))
    assert events == [("status", '{"status":"packed"}'), ("status", '{"status":"sent"}')]
    await order.arefresh_from_db()
    assert order.status == "sent"


@pytest.mark.django_db(transaction=True)
async def test_an_action_of_a_viewset_streams_from_a_synchronous_generator(settings):
    await Order.objects.acreate(item="Tea pot")
    await Order.objects.acreate(item="Cup")
    install(settings, example("views.md", "OrderViewSet", "def close_orders"))
    events = await events_of(EventStreamClient().post("/orders/closing/"))
    assert events == [("progress", '{"done":1,"total":2}'), ("progress", '{"done":2,"total":2}')]
    assert await Order.objects.filter(status="closed").acount() == 2


@pytest.mark.django_db(transaction=True)
async def test_an_action_of_a_viewset_has_options_of_its_own(settings):
    install(settings, page_examples("options.md")["OrderViewSet"])
    assert await events_of(EventStreamClient().get("/orders/items/")) == [("end", '{"status":"completed"}')]


def test_an_action_refuses_an_option_that_its_viewset_does_not_have(settings):
    viewset = page_examples("options.md")["OrderViewSet"]
    del viewset.end_event
    with pytest.raises(TypeError, match=r"OrderViewSet\(\) received an invalid keyword 'end_event'"):
        install(settings, viewset)


@pytest.mark.django_db(transaction=True)
async def test_actions_beside_a_live_list_can_yield_in_a_viewset_of_adrf(settings):
    class OrderViewSet(EventStreamMixin, LiveModelMixin, ModelViewSet):
        queryset = Order.objects.all()
        serializer_class = OrderSerializer

        @action(detail=True, methods=["post"], renderer_classes=[EventStreamRenderer])
        async def shipping(self, request, pk=None):
            yield "status", "sent"

    order = await Order.objects.acreate(item="Tea pot")
    install(settings, OrderViewSet)
    client = EventStreamClient()
    async with client.get("/orders/live/") as stream:
        assert (await stream.next()).event == "snapshot"
    assert await events_of(client.post(f"/orders/{order.pk}/shipping/")) == [("status", "sent")]
