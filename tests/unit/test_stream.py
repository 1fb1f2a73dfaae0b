import asyncio
import gc
import logging
import threading
import weakref
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished

from adrf_sse import ServerSentEvent
from adrf_sse.responses import EventStreamResponse
from adrf_sse.runtime.loops import background_loop
from adrf_sse.signals import stream_closed, stream_opened
from adrf_sse.streams.buffer import CHUNK_SIZE
from adrf_sse.streams.lifecycle import Phase
from adrf_sse.streams.open_streams import open_streams
from adrf_sse.streams.options import options
from adrf_sse.streams.stream import EventStream
from adrf_sse.views import AsyncSSEAPIView
from tests.support.sources import Recorder

WRAPPERS = [
    (),
    ("tests.support.middleware.wrapping",),
    ("tests.support.middleware.sync_wrapping",),
    ("tests.support.middleware.sync_only",),
]


def stream_of(source, **given):
    return EventStream(source, options(given))


# Batching


async def test_events_that_are_ready_together_are_sent_in_one_chunk():
    async def source():
        yield "a"
        yield "b"
        await go.wait()
        yield "c"

    go = asyncio.Event()
    stream = stream_of(source())
    assert await anext(stream) == b"data: a\n\ndata: b\n\n"
    go.set()
    assert await anext(stream) == b"data: c\n\n"
    assert [chunk async for chunk in stream] == []


async def test_a_single_event_is_sent_before_the_next_one_exists():
    async def source():
        for number in range(3):
            yield number
            await taken.acquire()

    taken = asyncio.Semaphore(0)
    async for _ in stream_of(source()):
        taken.release()


async def test_a_chunk_has_at_most_64_kib_and_the_source_waits_for_the_reader():
    frame = b"data: " + b"x" * 1016 + b"\n\n"  # 1 KiB
    source = Recorder(*[frame] * 200)
    stream = stream_of(source.run())
    assert await anext(stream) == frame * 64 == frame * (CHUNK_SIZE // len(frame))
    assert source.yielded == 65
    await asyncio.sleep(0)
    assert source.yielded <= 129
    assert b"".join([chunk async for chunk in stream]) == frame * 136


async def test_a_frame_larger_than_a_chunk_is_sent_alone():
    big = b"data: " + b"x" * CHUNK_SIZE + b"\n\n"
    stream = stream_of(Recorder(b"data: a\n\n", big, b"data: b\n\n").run())
    assert [chunk async for chunk in stream] == [b"data: a\n\n", big, b"data: b\n\n"]


async def test_the_source_pauses_while_the_client_does_not_read(visit):
    event = b"data: " + b"x" * 1016 + b"\n\n"
    source = Recorder(*[event] * 1000)

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return source.run()

    async with visit(View.as_view()) as stream:
        paused = await wait_until_stable(lambda: source.yielded)
        assert paused < 300
        assert len(await stream.body()) == 1000 * len(event)
    assert source.yielded == 1000


async def wait_until_stable(read):
    """Run the event loop until ``read()`` returns the same number twice, and return that number."""
    before = None
    while (now := read()) != before:
        before = now
        for _ in range(50):
            await asyncio.sleep(0)
    return now


# The end of a stream


@pytest.fixture
def order():
    """A list of what happened, in order; the signal ``request_finished`` appends to it."""
    order = []

    def finished(**kwargs):
        order.append("request_finished")

    request_finished.connect(finished)
    yield order
    request_finished.disconnect(finished)


class RecordingView(AsyncSSEAPIView):
    """Stream as the attribute ``events`` says, and record when and in which task the source is closed."""

    order: list
    started: asyncio.Event | None = None
    events = "idle"
    first_event_timeout = 60

    async def get(self, request):
        task = asyncio.current_task()
        try:
            if self.started is not None:
                self.started.set()
                await asyncio.Event().wait()
            yield "a"
            if self.events == "many":
                for _ in range(1000):
                    yield "x" * 1000
            if self.events == "idle":
                await asyncio.Event().wait()
            if self.events == "error":
                raise ValueError
        finally:
            await asyncio.sleep(0)
            self.order.append("closed" if asyncio.current_task() is task else "closed in another task")


@pytest.mark.parametrize("middleware", WRAPPERS, ids=lambda names: "".join(names).rpartition(".")[2])
@pytest.mark.parametrize("events", ["one", "idle", "many", "error"])
async def test_the_source_is_closed_in_its_own_task_before_request_finished(visit, order, middleware, events):
    view = type("View", (RecordingView,), {"events": events, "order": order}).as_view()
    async with visit(view, middleware=middleware) as stream:
        assert (await stream.next()).data == "a"
        assert stream.chunks[0].startswith(b": wrapped\n") == ("wrapping" in "".join(middleware))
        if events in ("one", "error"):
            await stream.body()
        elif events == "many":
            await wait_until_stable(lambda: len(stream.chunks))
    assert order == ["closed", "request_finished"]


async def test_a_disconnect_before_the_first_event_closes_the_source(visit, order):
    started = asyncio.Event()
    stream = visit(type("View", (RecordingView,), {"started": started, "order": order}).as_view())
    opening = asyncio.create_task(stream.__aenter__())
    await started.wait()
    await stream.__aexit__(None, None, None)
    with pytest.raises(AssertionError):
        await opening
    assert order == ["closed", "request_finished"]


async def test_a_source_that_ignores_cancellation_is_abandoned_and_logged(visit, settings, caplog):
    settings.ADRF_SSE = {"CLEANUP_TIMEOUT": 0.01}
    released = asyncio.Event()
    stubborn_task = []

    class View(AsyncSSEAPIView):
        async def get(self, request):
            stubborn_task.append(asyncio.current_task())
            yield "a"
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue

    with caplog.at_level(logging.ERROR, "adrf_sse"):
        async with visit(View.as_view()) as stream:
            await stream.next()
    assert "View.get did not stop within 0.01 s" in caplog.text
    released.set()
    await asyncio.wait(stubborn_task)


async def test_a_source_that_suppresses_its_cancellation_is_closed_at_its_next_yield():
    closed = asyncio.Event()

    async def source():
        try:
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                yield "more"
        finally:
            closed.set()

    stream = stream_of(source())
    reading = asyncio.create_task(anext(stream))
    await wait_until_stable(lambda: len(asyncio.all_tasks()))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert closed.is_set()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_nothing_remains_when_streams_end(visit):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            yield "a"
            await asyncio.Event().wait()

    streams = []

    def opened(stream, **kwargs):
        streams.append(weakref.ref(stream))

    tasks, threads = asyncio.all_tasks(), threading.active_count()
    stream_opened.connect(opened)
    for _ in range(20):
        async with visit(View.as_view()) as visited:
            await visited.next()
    stream_opened.disconnect(opened)
    del visited
    await wait_until_stable(lambda: len(asyncio.all_tasks()))
    assert asyncio.all_tasks() == tasks
    assert threading.active_count() <= threads + 1  # asgiref's thread for synchronous code
    assert len(open_streams) == 0
    await sync_to_async(gc.collect)()
    assert [stream() for stream in streams] == [None] * 20


async def test_a_stream_that_was_never_read_leaves_nothing_behind():
    async def coroutine():
        raise AssertionError

    for source in (Recorder().run(), Recorder().run_in_thread(), coroutine()):
        stream = stream_of(source)
        await stream.aclose()
        assert [chunk async for chunk in stream] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_from_another_thread_waits_for_the_source():
    source = Recorder("a")
    stream = stream_of(source.run_for_ever())
    await anext(stream)
    await asyncio.to_thread(stream.close)
    assert source.closed
    assert source.close_task is source.start_task


async def test_closing_in_the_thread_of_the_loop_does_not_block_the_loop():
    source = Recorder("a")
    stream = stream_of(source.run_for_ever())
    await anext(stream)
    stream.close()
    await wait_until_stable(lambda: source.closed)
    assert source.closed


async def test_a_synchronous_iteration_in_the_thread_of_the_loop_is_refused():
    stream = stream_of(Recorder("a", "b").run_for_ever())
    await anext(stream)
    with pytest.raises(RuntimeError, match="must be read with 'async for'"):
        next(iter(stream))
    await stream.aclose()


async def test_a_stream_can_be_read_from_another_loop():
    source = Recorder("a")
    stream = stream_of(source.run_for_ever())
    assert await anext(stream) == b"data: a\n\n"

    async def leave():
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    await asyncio.to_thread(asyncio.run, leave())
    assert source.closed


# Heartbeats


async def test_no_heartbeat_is_sent_while_events_arrive():
    async def source():
        for _ in range(5):
            await asyncio.sleep(0)
            yield "a"

    body = b"".join([chunk async for chunk in stream_of(source(), heartbeat=60)])
    assert body == b"data: a\n\n" * 5


async def test_events_are_sent_between_heartbeats():
    async def source():
        await go.wait()
        yield "a"
        await asyncio.Event().wait()

    go = asyncio.Event()
    stream = stream_of(source(), heartbeat=0.01)
    assert await anext(stream) == b":\n"
    go.set()
    assert (await anext(stream)).endswith(b"data: a\n\n")
    assert await anext(stream) == b":\n"
    await stream.aclose()


async def test_the_response_of_a_stream_can_be_iterated_without_django():
    response = EventStreamResponse(Recorder(ServerSentEvent("a", id=1)).run())
    assert [chunk async for chunk in response] == [b"id: 1\ndata: a\n\n"]


# Memory of an idle stream


async def test_an_idle_stream_does_not_keep_its_last_event_in_memory(visit):
    class Event(dict):
        pass

    events = [Event(n=1)]
    gone = weakref.ref(events[0])

    class View(AsyncSSEAPIView):
        async def get(self, request):
            return self

        def __aiter__(self):
            return self

        async def __anext__(self):
            if events:
                return events.pop()
            return await asyncio.Event().wait()

    async with visit(View.as_view()) as stream:
        assert (await stream.next()).data == '{"n":1}'
        assert gone() is None


@pytest.mark.parametrize("url", ["/", "/?a=1"])
async def test_an_idle_stream_releases_the_caches_of_its_request(visit, url):
    class View(AsyncSSEAPIView):
        async def get(self, request):
            held.append(request._request)
            yield "a"
            await go.wait()
            yield [dict(request.headers)["X-Name"], request.query_params.get("a")]

    held, go = [], asyncio.Event()
    async with visit(View.as_view(), url=url, headers={"X-Name": "value"}) as stream:
        await stream.next()
        assert "headers" not in vars(held[0])
        assert ("GET" in vars(held[0])) == (url != "/")
        go.set()
        assert (await stream.next()).data == '["value",%s]' % ('"1"' if "?" in url else "null")


async def test_the_handlers_of_a_view_are_restored_while_its_stream_is_open(visit):
    views = []

    class View(AsyncSSEAPIView):
        async def get(self, request):
            views.append((self, self.get))
            yield "a"
            yield "b"

    async with visit(View.as_view()) as stream:
        await stream.body()
    [(view, answering)] = views
    assert view.get != answering
    assert view.get == view.head
    assert "get" not in vars(view)


async def test_streams_with_equal_options_share_one_object():
    assert options({"heartbeat": 3}) is options({"heartbeat": 3.0})
    assert options({"heartbeat": 3}) is not options({"heartbeat": 4})


# Phases


async def test_a_stream_passes_through_its_phases_and_the_first_reason_of_its_end_stays():
    reasons = []

    def closed(reason, **kwargs):
        reasons.append(reason)

    stream_closed.connect(closed)
    source = Recorder("a")
    stream = stream_of(source.run_for_ever())
    assert stream.phase is Phase.NEW
    await stream.first_event(asyncio.get_running_loop())
    assert stream.phase is Phase.OPEN
    assert await anext(stream) == b"data: a\n\n"
    stream.expire()
    stream.shut_down()
    assert stream.phase is Phase.ENDING
    assert [chunk async for chunk in stream] == []
    assert stream.phase is Phase.CLOSED
    stream_closed.disconnect(closed)
    assert reasons == ["expired"]
    assert source.closed


async def test_an_error_before_the_first_event_closes_the_stream():
    async def source():
        raise ValueError("first")
        yield

    stream = stream_of(source())
    with pytest.raises(ValueError, match="first"):
        await stream.first_event(asyncio.get_running_loop())
    assert stream.phase is Phase.CLOSED
    assert [chunk async for chunk in stream] == []
    assert len(open_streams) == 0


def test_a_stream_that_is_being_closed_when_its_loop_ends_is_not_open():
    async def source():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.Event().wait()

    async def leave():
        assert await anext(stream) == b"data: a\n\n"
        stream.abandon()
        await cleaning.wait()

    cleaning = asyncio.Event()
    stream = stream_of(source())
    asyncio.run(leave())
    assert stream not in open_streams
    assert stream.phase is Phase.CLOSED


async def test_a_stream_that_is_discarded_is_closed_at_once():
    stream = stream_of(Recorder("a").run())
    stream.close()
    assert stream.phase is Phase.CLOSED


async def test_a_stream_whose_source_has_completed_ends_for_no_other_reason():
    reasons = []

    def closed(reason, **kwargs):
        reasons.append(reason)

    stream_closed.connect(closed)
    for end in ("expire", "shut_down"):
        stream = stream_of(Recorder("a", "b").run())
        assert await anext(stream) == b"data: a\n\ndata: b\n\n"
        await wait_until_stable(lambda: len(asyncio.all_tasks()))
        getattr(stream, end)()
        assert [chunk async for chunk in stream] == []
    stream_closed.disconnect(closed)
    assert reasons == ["completed", "completed"]


@pytest.mark.django_db  # the end of a response closes old connections
def test_collecting_a_reader_as_garbage_does_not_block_the_loop_under_wsgi():
    async def alive():
        gc.collect()
        return True

    class Cycle:
        pass

    cycle = Cycle()
    cycle.itself = cycle
    cycle.response = EventStreamResponse(Recorder("a").run_for_ever())
    cycle.reader = iter(cycle.response)
    assert next(cycle.reader) == b"data: a\n\n"
    cycle.response.close()
    del cycle
    assert asyncio.run_coroutine_threadsafe(alive(), background_loop.get()).result()
