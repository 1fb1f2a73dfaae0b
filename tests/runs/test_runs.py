"""Runs from code: their sources, their followers, their ends."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adrf_sse.events.event import ServerSentEvent
from adrf_sse.exceptions import RunConflict, RunNotFound, TooManyRuns
from adrf_sse.runs import follow, run_state, start_run, stop_run
from tests.support.runs import Gate, contents, slots_to_come_back, words

pytestmark = pytest.mark.usefixtures("broker")


async def all_of(run_id, last_event_id=None):
    async with asyncio.timeout(30):
        return [event async for event in follow(run_id, last_event_id)]


async def ended(run_id):
    await all_of(run_id)
    return await run_state(run_id)


async def test_a_follower_receives_every_event_and_the_end():
    run_id = await start_run(words("a", ("token", {"n": 1}), ServerSentEvent("b", event="x"), b"data: c\n\n", None))
    assert contents(await all_of(run_id)) == [
        (None, "a"), ("token", {"n": 1}), ("x", "b"), (None, "c"), (None, None), ("end", {"status": "completed"}),
    ]  # fmt: skip


async def test_the_state_tells_how_a_run_has_ended_and_when():
    before = datetime.now(UTC) - timedelta(seconds=1)
    run_id = await start_run(words("a", "b"))
    state = await ended(run_id)
    assert before < state.pop("started") <= state.pop("ended") < datetime.now(UTC) + timedelta(seconds=1)
    assert state == {"id": run_id, "status": "completed", "events": 2}


async def test_a_run_goes_on_without_followers():
    gate = Gate()
    run_id = await start_run(gate.source())
    async with follow(run_id) as events:
        gate.items.put_nowait("a")
        assert (await anext(events)).data == "a"
    gate.items.put_nowait("b")
    gate.items.put_nowait(None)
    assert contents(await all_of(run_id)) == [(None, "a"), (None, "b"), ("end", {"status": "completed"})]


async def test_followers_receive_each_event_once_whenever_they_come():
    gate = Gate()
    run_id = await start_run(gate.source())
    first = asyncio.create_task(all_of(run_id))
    for number in range(50):
        gate.items.put_nowait(number)
    async with follow(run_id) as events:
        tenth = [await anext(events) for _ in range(10)][-1]
    middle = asyncio.create_task(all_of(run_id, tenth.id))
    for number in range(50, 100):
        gate.items.put_nowait(number)
    gate.items.put_nowait(None)
    whole = contents(await first)
    assert whole == [*((None, number) for number in range(100)), ("end", {"status": "completed"})]
    assert contents(await middle) == whole[10:]
    assert contents(await all_of(run_id)) == whole


async def test_a_follower_that_has_the_end_receives_nothing():
    run_id = await start_run(words("a"))
    events = await all_of(run_id)
    assert await all_of(run_id, events[-1].id) == []


@pytest.mark.parametrize("last_event_id", ["x", "-1", "", None, "0", 10**15 * 4, "9" * 30, 1])
async def test_an_id_that_is_none_of_the_runs_gives_the_whole_run(last_event_id):
    run_id = await start_run(words("a"))
    assert contents(await all_of(run_id, last_event_id)) == [(None, "a"), ("end", {"status": "completed"})]


async def test_an_id_of_another_run_gives_the_whole_run():
    other = await all_of(await start_run(words("x")))
    run_id = await start_run(words("a"))
    later = await all_of(await start_run(words("x")))
    for event in (*other, *later):
        assert contents(await all_of(run_id, event.id)) == [(None, "a"), ("end", {"status": "completed"})]


async def test_a_stopped_source_is_closed_and_its_followers_receive_the_end():
    gate = Gate()
    run_id = await start_run(gate.source())
    follower = asyncio.create_task(all_of(run_id))
    gate.items.put_nowait("a")
    async with follow(run_id) as events:
        await anext(events)
    assert (await stop_run(run_id))["status"] == "stopped"
    await asyncio.wait_for(gate.closed.wait(), 30)
    assert contents(await follower) == [(None, "a"), ("end", {"status": "stopped"})]
    assert (await stop_run(run_id))["status"] == "stopped"
    assert contents(await all_of(run_id)) == [(None, "a"), ("end", {"status": "stopped"})]


async def test_the_error_of_a_source_is_an_event_without_its_text(caplog):
    async def failing():
        yield "a"
        raise OSError("secret")

    run_id = await start_run(failing())
    events = contents(await all_of(run_id))
    assert [name for name, _ in events] == [None, "error", "end"]
    assert events[-1] == ("end", {"status": "failed"})
    assert "secret" not in str(events)
    assert (await run_state(run_id))["status"] == "failed"
    assert "secret" in caplog.text


async def test_end_event_is_the_last_event():
    run_id = await start_run(words("a"), end_event=b"data: [DONE]\n\n")
    assert contents(await all_of(run_id)) == [(None, "a"), (None, "[DONE]")]


async def test_an_unknown_run():
    for call in (run_state, stop_run, all_of):
        with pytest.raises(RunNotFound):
            await call("unknown")


async def test_only_one_active_run_has_an_id():
    gate = Gate()
    await start_run(gate.source(), run_id="chat-1")
    source = words("a")
    with pytest.raises(RunConflict):
        await start_run(source, run_id="chat-1")
    await stop_run("chat-1")
    await start_run(words("b"), run_id="chat-1")
    assert contents(await all_of("chat-1")) == [(None, "b"), ("end", {"status": "completed"})]


@pytest.mark.parametrize("run_id", ["", "a/b", ".", "..", "ä", "a" * 151, "a\n", 7])
async def test_an_id_that_can_not_be_part_of_a_channel_is_refused(run_id):
    with pytest.raises((TypeError, ValueError), match="the ID of a run must be"):
        await start_run(words("a"), run_id=run_id)


async def test_a_process_has_a_limited_number_of_runs(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "MAX_RUNS": 1}
    gate = Gate()
    run_id = await start_run(gate.source())
    with pytest.raises(TooManyRuns):
        await start_run(words("a"))
    gate.items.put_nowait(None)
    await all_of(run_id)
    await slots_to_come_back()
    await all_of(await start_run(words("a")))


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (("a", 1, "id"), "must have no ID"),
        (ServerSentEvent("a", id="1"), "must have no ID"),
        (b"id: 1\ndata: a\n\n", "must have no ID"),
        (b"data: a\n\ndata: b\n\n", "got 2 frames"),
        (b"data: a", "complete frames"),
        (object(), "data must be"),
        ("x" * (17 * 1024 * 1024), "at most 1048576 bytes"),
    ],
)
async def test_an_item_that_is_no_event_of_a_run_fails_the_run(item, problem, caplog):
    run_id = await start_run(words("a", item, "b"))
    assert [event.event for event in await all_of(run_id)] == [None, "error", "end"]
    assert problem in caplog.text


async def test_comments_are_left_out():
    items = ServerSentEvent(comment="hi"), ServerSentEvent("a", comment="x", retry=5), b": ping\n\n"
    run_id = await start_run(words(*items))
    assert contents(await all_of(run_id)) == [(None, "a"), ("end", {"status": "completed"})]


async def test_a_run_with_too_many_events_fails(settings, caplog):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_MAX_SIZE": 100_000}

    async def endless():
        while True:
            yield "x" * 1000

    run_id = await start_run(endless())
    events = await all_of(run_id)
    assert events[-2].event == "error"
    assert events[-2].data["code"] == "run_too_large"
    assert events[-1].data == {"status": "failed"}
    assert len(events) <= 102


async def test_a_history_that_is_too_short_for_channels_keeps_runs_whole(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "CHANNEL_HISTORY": 2, "CHANNEL_TTL": 0.001}
    run_id = await start_run(words(*range(1000)))
    assert [event.data for event in await all_of(run_id)] == [*range(1000), {"status": "completed"}]
