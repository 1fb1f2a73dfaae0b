"""The management command that lists and stops runs."""

import asyncio
import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from adrf_sse.brokers import get_broker
from adrf_sse.runs import follow, run_state, start_run
from tests.support.redis_server import use_redis


async def printed(*arguments):
    output = StringIO()
    await sync_to_async(call_command)("sse_runs", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


async def listed(*arguments):
    return json.loads(await printed("--json", *arguments))


async def endless():
    yield "a"
    await asyncio.Event().wait()


async def start_endless(run_id, **options):
    """Start a run that does not end, and wait for its event."""
    await start_run(endless(), run_id=run_id, **options)
    async with follow(run_id) as events:
        await anext(events)


async def complete(run_id):
    """Start a run that ends, and wait for its end."""
    source = (word async for word in _words())
    await start_run(source, run_id=run_id)
    async for _ in follow(run_id):
        pass


async def _words():
    yield "a"
    yield "b"


@pytest.mark.usefixtures("broker")
async def test_runs_are_listed_the_one_created_last_first():
    await start_endless("z")
    await complete("m")
    await start_endless("a", owner=7)
    state = await run_state("a")
    first, *others = await listed()
    assert first == {
        "id": "a",
        "status": "running",
        "started": state["started"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ended": None,
        "events": 1,
        "owner": "7",
    }
    assert [(row["id"], row["status"], row["events"]) for row in others] == [("m", "completed", 2), ("z", "running", 1)]


@pytest.mark.usefixtures("broker")
async def test_the_order_is_that_of_creation_whatever_ends_or_begins_again():
    for run_id in "abc":
        await start_endless(run_id)
    await printed("--stop", "a")
    assert [row["id"] for row in await listed()] == ["c", "b", "a"]
    await start_endless("a")
    assert [row["id"] for row in await listed()] == ["a", "c", "b"]


@pytest.mark.usefixtures("broker")
async def test_a_limit_and_a_status_select_runs():
    await start_endless("a")
    for number in range(6):
        await complete(f"done-{number}")
    await start_endless("b")
    assert [row["id"] for row in await listed("--limit", "2")] == ["b", "done-5"]
    assert [row["id"] for row in await listed("--limit", "1", "--status", "running")] == ["b"]
    assert [row["id"] for row in await listed("--limit", "2", "--status", "running")] == ["b", "a"]
    assert [row["id"] for row in await listed("--limit", "3", "--status", "running")] == ["b", "a"]
    assert await listed("--status", "lost") == []


@pytest.mark.usefixtures("broker")
async def test_the_table_has_a_line_for_each_run():
    assert await printed() == "ID  STATUS  OWNER  STARTED  EVENTS\n"
    await start_endless("long-name", owner="7")
    state = await run_state("long-name")
    await complete("b")
    header, completed, running = (await printed()).splitlines()
    started = f"{datetime.fromtimestamp(int(state['started'].timestamp()), UTC):%Y-%m-%d %H:%M:%S}+00:00"
    assert running == f"long-name  running    7      {started}  1"
    assert completed.split()[:3] == ["b", "completed", "-"]
    assert header.split() == ["ID", "STATUS", "OWNER", "STARTED", "EVENTS"]
    assert [header.index("STATUS"), header.index("EVENTS")] == [completed.index("completed"), len(running) - 1]


@pytest.mark.usefixtures("broker")
async def test_runs_are_stopped():
    closed = asyncio.Event()

    async def source():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    await start_run(source(), run_id="a")
    async with follow("a") as events:
        assert (await anext(events)).data == "a"
        await complete("b")
        assert await printed("--stop", "a", "b") == "a stopped\nb completed\n"
        assert (await anext(events)).data == {"status": "stopped"}
    await asyncio.wait_for(closed.wait(), 30)


@pytest.mark.usefixtures("broker")
async def test_unknown_runs_are_named_and_the_others_are_stopped():
    await start_endless("a")
    words = r"--stop must get the IDs of runs, got x, no id\. List them with sse_runs\."
    with pytest.raises(CommandError, match=words):
        await printed("--stop", "x", "no id", "a")
    assert (await run_state("a"))["status"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "0"], "N must be a number from 1, got '0'"),
        (["--limit", "many"], "N must be a number from 1, got 'many'"),
        (["--status", "done"], "invalid choice: 'done'"),
        (["--stop"], "expected at least one argument"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("sse_runs", *arguments, stdout=StringIO())


@pytest.mark.parametrize("arguments", [[], ["--stop", "a"]])
def test_the_command_says_what_to_check_if_redis_is_unavailable(settings, arguments):
    use_redis(settings, "redis://127.0.0.1:1/0")
    with pytest.raises(CommandError, match=r"Redis at 127\.0\.0\.1:1 must .* Check that it runs"):
        call_command("sse_runs", *arguments, stdout=StringIO())


@pytest.mark.usefixtures("broker")
def test_the_command_warns_if_the_broker_is_limited_to_one_process():
    errors = StringIO()
    call_command("sse_runs", stdout=StringIO(), stderr=errors)
    warned = "Configure PostgresBroker or RedisBroker to reach the runs of a server." in errors.getvalue()
    assert warned == get_broker().process_local


@pytest.mark.usefixtures("broker")
async def test_runs_that_have_expired_are_not_listed(settings):
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_TTL": 0.001}
    await start_run(_words(), run_id="short")
    while await listed():
        await asyncio.sleep(0)
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_TTL": 3600}
    await complete("long")
    assert [row["id"] for row in await listed("--limit", "1")] == ["long"]


async def test_redis_keeps_no_trace_of_expired_runs(settings, shared_redis, redis_url):
    use_redis(settings, redis_url)
    settings.ADRF_SSE = {**settings.ADRF_SSE, "RUN_TTL": 0.001}
    await start_run(_words(), run_id="short")
    while list(shared_redis.client.scan_iter("*run*")):
        await listed()  # removes what has expired
