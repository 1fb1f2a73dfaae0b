"""The views that tests request from real servers. Most send "one", "two" and "three"; see ``gate``."""

import asyncio
import gc
import threading
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from adrf.views import APIView
from adrf.viewsets import ViewSet
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView as SyncAPIView

import adrf_sse
from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer, JSONLinesRenderer, NDJSONRenderer
from adrf_sse.responses import EventStreamResponse
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView, EventStreamMixin

PACKAGE = Path(adrf_sse.__file__).parent
WORDS = ("one", "two", "three")


def gate(request, word):
    """Block until the test writes to the named pipe of ``word`` in the folder ``?gates=``."""
    folder = request.GET.get("gates")
    if folder and word != "one":
        Path(folder, word).read_bytes()


class Channel(ChannelStreamView):
    def get_channels(self):
        return [self.kwargs["name"]]


async def async_source(request):
    for word in WORDS:
        await asyncio.to_thread(gate, request, word)
        yield word


def sync_source(request):
    for word in WORDS:
        gate(request, word)
        yield word


@asynccontextmanager
async def task_group_source(request):
    queue = asyncio.Queue(1)

    async def produce():
        async for word in async_source(request):
            await queue.put(word)

    async def consume():
        for _ in WORDS:
            yield await queue.get()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        yield consume()


@asynccontextmanager
async def anyio_source(request):
    send, receive = anyio.create_memory_object_stream(0)

    async def produce():
        async with send:
            async for word in async_source(request):
                await send.send(word)

    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce)
        yield receive


SOURCES = {
    "async": async_source,
    "sync": sync_source,
    "task-group": task_group_source,
    "anyio": anyio_source,
}


class RendererOnly(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request, kind):
        return Response(SOURCES[kind](request), status=int(request.GET.get("status", 201)), headers={"X-Kind": kind})


class RendererOnlySync(SyncAPIView):
    renderer_classes = [EventStreamRenderer]

    def get(self, request, kind):
        return Response(SOURCES[kind](request), status=int(request.GET.get("status", 201)), headers={"X-Kind": kind})


class RendererOnlyViewSet(ViewSet):
    renderer_classes = [EventStreamRenderer]

    @action(detail=False)
    async def words(self, request, kind):
        return Response(SOURCES[kind](request), status=int(request.GET.get("status", 201)), headers={"X-Kind": kind})


class Mixed(EventStreamMixin, ViewSet):
    renderer_classes = [EventStreamRenderer]

    @action(detail=False)
    async def words(self, request, kind):
        return SOURCES[kind](request)


class View(AsyncSSEAPIView):
    async def get(self, request, kind):
        return SOURCES[kind](request)


@event_stream
async def function(request, kind):
    return SOURCES[kind](request)


async def plain(request, kind):
    return EventStreamResponse(SOURCES[kind](request))


def plain_sync(request, kind):
    return EventStreamResponse(SOURCES[kind](request))


async def endless(request):
    async def source():
        number = 0
        while True:
            yield number
            number += 1

    return EventStreamResponse(source())


class Formats(AsyncSSEAPIView):
    """The same events in three formats."""

    renderer_classes = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]

    async def get(self, request, kind):
        return SOURCES[kind](request)


class Lines(APIView):
    renderer_classes = [JSONLinesRenderer, NDJSONRenderer]

    async def get(self, request, kind):
        return Response(SOURCES[kind](request))


class LinesSync(SyncAPIView):
    renderer_classes = [JSONLinesRenderer, NDJSONRenderer]

    def get(self, request, kind):
        return Response(SOURCES[kind](request))


class Compressed(AsyncSSEAPIView):
    compress = True

    async def get(self, request, kind):
        return SOURCES[kind](request)


def mark(path):
    with open(path, "ab") as marks:
        marks.write(b".")


async def forever(request):
    """Send one event, append a mark to the file ``?started=``, and another to ``?marks=`` when the stream ends."""
    try:
        yield "one"
        if "started" in request.GET:
            mark(request.GET["started"])
        await asyncio.Event().wait()
    finally:
        mark(request.GET["marks"])


class Forever(AsyncSSEAPIView):
    renderer_classes = [EventStreamRenderer, JSONLinesRenderer, JSONRenderer]

    async def get(self, request):
        return forever(request)


class CompressedForever(AsyncSSEAPIView):
    compress = True

    async def get(self, request):
        return forever(request)


@event_stream
def blocked(request):
    """Block the source's thread for longer than any server runs."""
    yield "one"
    threading.Event().wait()


ENDS = {
    "completed": [],
    "failed": [ValueError("The test's own.")],
    "idle": [asyncio.Event],
    "sending": [b"data: " + b"x" * 60_000 + b"\n\n"] * 1_000_000,
}
"""What sources yield, raise or wait for after "one"."""


def ending(request):
    """Return a source with the end named by ``?end=``. It writes to a pipe when it starts and when it is closed."""
    started, closed = request.GET["started"], request.GET["closed"]
    items = [*([] if "silent" in request.GET else ["one"]), *ENDS[request.GET["end"]]]

    async def source():
        try:
            await asyncio.to_thread(mark, started)
            for item in items:
                if isinstance(item, Exception):
                    raise item
                if item is asyncio.Event:
                    await item().wait()
                yield item
        finally:
            mark(closed)

    @asynccontextmanager
    async def grouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            yield source()

    return grouped() if "grouped" in request.GET else source()


class Ending(AsyncSSEAPIView):
    first_event_timeout = 60

    async def get(self, request):
        return ending(request)


async def ending_plain(request):
    return EventStreamResponse(ending(request))


async def remaining(request):
    """Return the number of open streams and the package's tasks that remain after a garbage collection."""
    gc.collect()
    tasks = [repr(task) for task in asyncio.all_tasks() if PACKAGE in Path(task.get_coro().cr_code.co_filename).parents]
    return JsonResponse([len(open_streams), *tasks], safe=False)


counted = Counter()


def count_opened(**kwargs):
    counted["opened"] += 1


def count_closed(**kwargs):
    counted["closed"] += 1


async def counts(request):
    """Count the streams from the first request on, and return how many have opened and closed since."""
    stream_opened.connect(count_opened, dispatch_uid="counts")
    stream_closed.connect(count_closed, dispatch_uid="counts")
    return JsonResponse([len(open_streams), counted["opened"], counted["closed"]], safe=False)


def select():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


class QueryPermission(BasePermission):
    def has_permission(self, request, view):
        return bool(select())


class Queries(AsyncSSEAPIView):
    """Query the database before the stream starts and while it is open."""

    permission_classes = [QueryPermission]
    go: asyncio.Event | None = None

    async def get(self, request):
        if Queries.go is None:
            Queries.go = asyncio.Event()
        yield "first", await sync_to_async(select)()
        await Queries.go.wait()
        for _ in range(3):
            yield "later", await sync_to_async(select)()

    async def post(self, request):
        Queries.go.set()
        return HttpResponse()


class Silent(AsyncSSEAPIView):
    """Query the database, and then wait for the first event."""

    permission_classes = [QueryPermission]
    first_event_timeout = 600
    waiting = 0
    go: asyncio.Event | None = None

    async def get(self, request):
        Silent.go = Silent.go or asyncio.Event()
        Silent.waiting += 1
        await Silent.go.wait()
        yield "one"

    async def put(self, request):
        return HttpResponse(Silent.waiting)

    async def post(self, request):
        Silent.go.set()
        return HttpResponse()


async def page(request):
    """An empty page for tests that create their own EventSource."""
    return HttpResponse("<!doctype html><html lang=en><link rel=icon href=data:,><title>Test</title>")


async def named(request):
    async for word in async_source(request):
        yield ServerSentEvent({"word": word}, event=word, id=f"é-{word}")


@event_stream(finite=True, retry=1)
async def finite(request):
    async for event in named(request):
        yield event


class CompressedFinite(AsyncSSEAPIView):
    compress = True
    finite = True

    async def get(self, request):
        return named(request)


async def naive(request):
    """The same events in a plain ``StreamingHttpResponse``, without the package."""

    async def content():
        async for word in async_source(request):
            yield f"retry: 1\ndata: {word}\n\n".encode()

    return StreamingHttpResponse(content(), content_type="text/event-stream")


VIEWS = {
    "renderer-only": RendererOnly.as_view(),
    "renderer-only-sync": RendererOnlySync.as_view(),
    "renderer-only-viewset": RendererOnlyViewSet.as_view({"get": "words"}),
    "viewset": Mixed.as_view({"get": "words"}),
    "view": View.as_view(),
    "function": function,
    "plain": plain,
    "plain-sync": plain_sync,
}

urlpatterns = [
    *[path(f"{name}/<kind>/", view) for name, view in VIEWS.items()],
    path("formats/<kind>/", Formats.as_view()),
    path("lines/<kind>/", Lines.as_view()),
    path("lines-sync/<kind>/", LinesSync.as_view()),
    path("endless/", endless),
    path("channels/<name>/", Channel.as_view()),
    path("forever/", Forever.as_view()),
    path("compressed/<kind>/", Compressed.as_view()),
    path("compressed-forever/", CompressedForever.as_view()),
    path("compressed-finite/", CompressedFinite.as_view()),
    path("blocked/", blocked),
    path("ending/", Ending.as_view()),
    path("ending-plain/", ending_plain),
    path("counts/", counts),
    path("remaining/", remaining),
    path("queries/", Queries.as_view()),
    path("silent/", Silent.as_view()),
    path("page/", page),
    path("finite/", finite),
    path("naive/", naive),
]
