"""Django REST Framework's own viewsets, which are synchronous, stream from an action."""

import asyncio
import threading

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer, Serializer
from rest_framework.viewsets import ModelViewSet

from adrf_sse.channels import subscribe
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.signals import stream_closed
from tests.support.sources import Recorder

database = pytest.mark.django_db(transaction=True)


class UserSerializer(ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username"]


class Users(ModelViewSet):
    queryset = User.objects.all()
    serializer_class = UserSerializer


def view_of(source, permissions=(), **attributes):
    """Return the view of a ``ModelViewSet`` with an action that streams what ``source()`` returns."""

    class Watched(Users):
        permission_classes = list(permissions)
        locals().update(attributes)

        @action(detail=False, renderer_classes=[EventStreamRenderer])
        def watch(self, request):
            return Response(source())

    return Watched.as_view({"get": "watch"}, **Watched.watch.kwargs)


async def one():
    yield 1


async def test_the_options_are_attributes_of_the_viewset(visit):
    options = {"heartbeat": 0.01, "retry": 7, "finite": True, "max_duration": 100, "send_timeout": 100}
    async with visit(view_of(one, **options), served=True) as stream:
        assert await stream.body() == b"retry: 7\ndata: 1\n\nid: adrf-sse-end\nevent: end\ndata: {}\n\n"


async def test_a_heartbeat_option_is_used(visit):
    async with visit(view_of(lambda: Recorder().run_for_ever(), heartbeat=0.01), served=True) as stream:
        assert (await stream.next_chunk(timeout=10)) == b":\n"


async def test_events_are_serialized_by_the_declared_serializers(visit):
    class Trimmed(Serializer):
        def to_representation(self, instance):
            return {"n": instance["n"]}

    async def source():
        yield "row", {"n": 1, "secret": 2}

    async with visit(view_of(source, event_serializers={"row": Trimmed}), served=True) as stream:
        assert await stream.body() == b'event: row\ndata: {"n":1}\n\n'


async def test_a_bad_option_is_an_error_that_names_it(visit, caplog):
    async with visit(view_of(one, heartbeat=-1)) as stream:
        assert stream.status_code == 500
    assert "heartbeat must be more than 0 seconds, got -1." in caplog.text


@pytest.mark.parametrize(("error", "status"), [(Http404(), 404), (PermissionDenied("No."), 403)])
async def test_an_error_before_the_first_event_is_an_http_error(visit, error, status):
    async def source():
        raise error
        yield

    async with visit(view_of(source, first_event_timeout=30), served=True) as stream:
        assert stream.status_code == status
        assert stream.headers["Content-Type"].startswith("application/json")
        assert "detail" in await stream.json()


async def test_the_first_event_is_not_waited_for_with_a_timeout_of_zero(visit):
    async def source():
        raise Http404
        yield

    async with visit(view_of(source, first_event_timeout=0), served=True) as stream:
        assert stream.status_code == 200
        assert (await stream.next(timeout=10)).event == "error"


async def test_a_stream_that_waits_for_its_first_event_is_closed_when_its_client_leaves(visit):
    recorder = Recorder("a")
    async with visit(view_of(recorder.run_for_ever, first_event_timeout=30), served=True) as stream:
        assert (await stream.next(timeout=10)).data == "a"
    assert recorder.closed


@database
async def test_the_client_is_checked_again_and_its_stream_is_ended(visit):
    allowed, ended = [True], []

    class Allowed(BasePermission):
        def has_permission(self, request, view):
            return allowed[0]

    def note(reason, **kwargs):
        ended.append(reason)

    stream_closed.connect(note)
    try:
        view = view_of(lambda: Recorder("a").run_for_ever(), [Allowed], reauthorize_interval=0.01)
        async with visit(view, served=True) as stream:
            await stream.next(timeout=10)
            allowed[0] = False
            assert [event async for event in stream] == []
        assert ended == ["revoked"]
    finally:
        stream_closed.disconnect(note)


@database
async def test_a_viewset_checks_what_its_own_method_says(visit):
    class Watched(Users):
        reauthorize_interval = 0.01

        @action(detail=False, renderer_classes=[EventStreamRenderer])
        def watch(self, request):
            return Response(Recorder("a").run_for_ever())

        def reauthorize(self, request):
            raise PermissionDenied

    async with visit(Watched.as_view({"get": "watch"}, **Watched.watch.kwargs), served=True) as stream:
        assert [event.data async for event in stream] == ["a"]


@database
async def test_an_open_stream_holds_neither_the_thread_of_its_action_nor_a_connection(visit):
    threads = []

    def source():
        threads.append(threading.current_thread())
        User.objects.exists()
        return Recorder("a").run_for_ever()

    async with visit(view_of(source), served=True) as stream:
        await stream.next(timeout=10)
        await asyncio.to_thread(threads[0].join, 30)
        assert not threads[0].is_alive()


async def test_an_action_can_return_a_subscription(visit):
    async with visit(view_of(lambda: subscribe("users")), served=True) as stream:
        assert (await stream.next_chunk(timeout=10)).startswith(b"id: ")
