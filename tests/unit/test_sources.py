import asyncio
import threading
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync
from django.contrib.auth import get_user_model
from django.db import connections

from adrf_sse.exceptions import TooManySyncStreams
from adrf_sse.responses import EventStreamResponse
from adrf_sse.streams.options import options
from adrf_sse.streams.sources import Source, is_source
from adrf_sse.streams.stream import EventStream
from adrf_sse.streams.sync_sources import count_sync_sources
from tests.support.sources import Recorder


async def chunks_of(source):
    async with ThreadSensitiveContext():  # a server does the same for each request
        return b"".join([chunk async for chunk in EventStream(source, options({}))])


class Iterator:
    def __init__(self):
        self.left = ["b", "a"]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


class Iterable:
    async def __aiter__(self):
        yield "a"
        yield "b"


async def coroutine():
    return Recorder("a", "b").run()


async def coroutine_of_manager():
    return manager()


@asynccontextmanager
async def manager():
    yield Recorder("a", "b").run()


@asynccontextmanager
async def manager_of_sync():
    yield iter(["a", "b"])


@asynccontextmanager
async def task_group():
    queue = asyncio.Queue(1)

    async def produce():
        for word in ("a", "b", None):
            await queue.put(word)

    async def consume():
        while (word := await queue.get()) is not None:
            yield word

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        yield consume()


@asynccontextmanager
async def anyio_group():
    send, receive = anyio.create_memory_object_stream(0)

    async def produce():
        async with send:
            await send.send("a")
            await send.send("b")

    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce)
        yield receive


def anyio_stream():
    send, receive = anyio.create_memory_object_stream(2)
    send.send_nowait("a")
    send.send_nowait("b")
    send.close()
    return receive


def sync_generator():
    yield "a"
    yield "b"


KINDS = [
    Recorder("a", "b").run,
    Iterator,
    Iterable,
    coroutine,
    coroutine_of_manager,
    manager,
    manager_of_sync,
    task_group,
    anyio_group,
    anyio_stream,
    sync_generator,
    lambda: iter(["a", "b"]),
]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__qualname__)
async def test_every_kind_of_source_streams(make):
    assert await chunks_of(make()) == b"data: a\n\ndata: b\n\n"
    assert count_sync_sources() == 0


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__qualname__)
def test_every_kind_of_source_streams_under_wsgi(make):
    response = EventStreamResponse(make())
    assert not response.is_async
    assert b"".join(response) == b"data: a\n\ndata: b\n\n"


@pytest.mark.parametrize("value", ["text", b"bytes", ["a"], {"a": 1}, None, 3, ("a", 1)], ids=repr)
def test_a_value_that_is_not_a_source_is_refused(value):
    with pytest.raises(TypeError) as caught:
        EventStreamResponse(value)
    assert str(caught.value) == (
        "a source must be an async iterator, an iterator, or an async context manager that yields an async "
        f"iterable, got {value!r}. Yield the events from a generator, or pass iter() of a list."
    )


def test_a_queryset_is_data_not_a_source():
    assert not is_source(get_user_model().objects.all())


async def test_a_coroutine_that_does_not_return_a_source_is_an_error():
    async def nothing():
        return ["a"]

    body = await chunks_of(nothing())
    assert body.startswith(b"event: error\n")


@pytest.mark.parametrize("kind", ["task group", "anyio"])
async def test_closing_the_stream_cancels_the_task_group_inside_the_source(kind):
    cancelled = asyncio.Event()

    async def child():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @asynccontextmanager
    async def source():
        if kind == "anyio":
            async with anyio.create_task_group() as group:
                group.start_soon(child)
                yield Recorder("a").run_for_ever()
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                yield Recorder("a").run_for_ever()

    stream = EventStream(source(), options({}))
    assert await anext(stream) == b"data: a\n\n"
    await stream.aclose()
    assert cancelled.is_set()


async def test_a_task_group_whose_child_fails_ends_the_stream_with_an_error_event():
    @asynccontextmanager
    async def source():
        async def child():
            await read.wait()
            raise ValueError("secret")

        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            yield Recorder("a").run_for_ever()

    read = asyncio.Event()
    stream = EventStream(source(), options({}))
    assert await anext(stream) == b"data: a\n\n"
    read.set()
    assert (await anext(stream)).startswith(b"event: error\n")
    assert [chunk async for chunk in stream] == []


# Synchronous sources


async def test_a_synchronous_source_runs_in_one_thread_and_keeps_its_context():
    variable = ContextVar("variable", default=0)
    threads = set()

    def source():
        for _ in range(3):
            threads.add(threading.current_thread())
            variable.set(variable.get() + 1)
            yield variable.get()

    assert await chunks_of(source()) == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    [thread] = threads
    assert thread is not threading.current_thread()
    await asyncio.to_thread(thread.join)
    assert variable.get() == 0


async def test_a_synchronous_source_yields_one_item_at_a_time_without_blocking_the_loop():
    go = threading.Event()
    source = Recorder("a", "b", "c")

    def blocking():
        for item in source.run_in_thread():
            yield item
            go.wait()

    async with ThreadSensitiveContext():
        stream = EventStream(blocking(), options({}))
        assert await anext(stream) == b"data: a\n\n"
        assert source.yielded == 1
        go.set()
        assert b"".join([chunk async for chunk in stream]) == b"data: b\n\ndata: c\n\n"


async def test_a_blocked_source_is_closed_as_soon_as_next_returns(settings):
    settings.ADRF_SSE = {"CLEANUP_TIMEOUT": 60}
    go, source, threads = threading.Event(), Recorder(), []

    def blocking():
        threads.append(threading.current_thread())
        source.started = True
        try:
            yield "a"
            go.wait()
            yield "b"
        finally:
            source.closed = True

    async with ThreadSensitiveContext():
        stream = EventStream(blocking(), options({}))
        assert await anext(stream) == b"data: a\n\n"
        closing = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0)
        assert not source.closed
        go.set()
        await closing
    assert source.closed
    assert count_sync_sources() == 0
    await asyncio.to_thread(threads[0].join)


async def test_a_synchronous_source_can_call_the_event_loop():
    async def answer():
        return asyncio.get_running_loop()

    loops = []

    def source():
        loops.append(async_to_sync(answer)())
        yield "a"

    assert await chunks_of(source()) == b"data: a\n\n"
    assert loops == [asyncio.get_running_loop()]


@pytest.mark.django_db(transaction=True)
async def test_the_database_connection_of_a_synchronous_source_is_closed_with_it():
    opened = []

    def source():
        connections["default"].ensure_connection()
        opened.append(connections["default"])
        yield get_user_model().objects.count()

    assert await chunks_of(source()) == b"data: 0\n\n"
    assert opened[0].connection is None


async def test_beyond_max_sync_streams_the_response_is_503_with_retry_after(settings, visit):
    settings.ADRF_SSE = {"MAX_SYNC_STREAMS": 1}

    async def view(request):
        return EventStreamResponse(blocked())

    def blocked():
        yield "a"
        go.wait()

    go = threading.Event()
    async with visit(view, served=True) as first:
        assert (await first.next()).data == "a"
        async with visit(view, served=True) as second:
            assert second.status_code == 503
            assert second.headers["Content-Type"] == "application/json"
            assert second.headers["Retry-After"] == "5"
            assert await second.json() == {"detail": "Too many streams are open. Try again later."}
        go.set()
        assert await first.next_chunk() is None
    assert count_sync_sources() == 0
    async with visit(view, served=True) as third:
        assert third.status_code == 200


def test_a_deleted_source_does_not_count_toward_the_limit():
    source = Source(iter([]))
    assert count_sync_sources() == 1
    del source
    assert count_sync_sources() == 0


def test_too_many_sync_streams_is_raised_when_the_source_is_created(settings):
    settings.ADRF_SSE = {"MAX_SYNC_STREAMS": 1}
    kept = Source(iter([]))
    with pytest.raises(TooManySyncStreams):
        Source(iter([]))
    kept.discard()
    kept.discard()
    assert count_sync_sources() == 0


class Promising(Iterator):
    """An iterator whose other methods have names that the package's own sources use."""

    def _refuse(self, *args):
        raise AssertionError

    push_to = new_buffer = open = leave = join = close = _refuse


async def test_only_the_packages_own_sources_are_asked_for_more_than_events():
    assert await chunks_of(Promising()) == b"data: a\n\ndata: b\n\n"
