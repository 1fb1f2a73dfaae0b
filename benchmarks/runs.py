"""How fast a run publishes over Redis and over PostgreSQL: ``python -m benchmarks.runs``.

A run of 3,000 small events at full speed, from its start until its end is published, is compared with ``publish()`` of
the same events in pipelines of redis-py, the fastest way to publish many events of one channel. All run in one
process, in turns, with a Redis and a PostgreSQL of their own, with their defaults. The run's source yields without
waiting, or waits for the event loop before each event, as a client of a language model does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from statistics import median
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from benchmarks.programs import postgres, redis

EVENTS = 3000
"""Events of a run."""

BATCH = 256
"""Events of one pipeline: as many as a run publishes with one command."""

ROUNDS = 15
"""Turns of each contender."""

POSTGRES = {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker"}


async def at_once() -> AsyncIterator[Any]:
    """Yield the events without waiting."""
    for number in range(EVENTS):
        yield "token", {"text": f"word {number} "}


async def one_by_one() -> AsyncIterator[Any]:
    """Yield the events, each in a turn of the event loop of its own."""
    async for event in at_once():
        await asyncio.sleep(0)
        yield event


async def pipelines(client: Any, script: str) -> None:
    """Publish the events in pipelines."""
    from adrf_sse.brokers import get_broker
    from adrf_sse.brokers.messages import message_body

    broker: Any = get_broker()
    digest = await client.script_load(script)
    events = [event async for event in at_once()]
    for start in range(0, EVENTS, BATCH):
        pipeline = client.pipeline(transaction=False)
        for name, data in events[start : start + BATCH]:
            parameters = broker._publishing("bench", message_body(data, name))
            pipeline.evalsha(digest, len(parameters["keys"]), *parameters["keys"], *parameters["args"])
        await pipeline.execute()


async def run(source: AsyncIterator[Any]) -> None:
    """Start a run, and wait until its end is published."""
    from adrf_sse.runs import start_run
    from adrf_sse.signals import run_ended

    ended = asyncio.get_running_loop().create_future()

    def note(status: str, **kwargs: Any) -> None:
        ended.set_result(status)

    run_ended.connect(note)
    try:
        await start_run(source)
        if await ended != "completed":
            raise RuntimeError(f"The run should be completed, got {ended.result()}.")
    finally:
        run_ended.disconnect(note)


def over_postgres(contender: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Let a contender use PostgreSQL."""

    async def run_over_postgres() -> None:
        with override_settings(ADRF_SSE={**settings.ADRF_SSE, "BROKER": POSTGRES}):
            await contender()

    return run_over_postgres


async def measure(url: str) -> None:
    """Measure all contenders in turns, and print the medians."""
    from redis.asyncio import Redis

    from adrf_sse.brokers.redis.scripts import PUBLISH

    client = Redis.from_url(url)
    contenders = {
        "publish() in pipelines": lambda: pipelines(client, PUBLISH),
        "run that yields at once": lambda: run(at_once()),
        "run that waits before each event": lambda: run(one_by_one()),
        "run over PostgreSQL that yields at once": over_postgres(lambda: run(at_once())),
        "run over PostgreSQL that waits before each event": over_postgres(lambda: run(one_by_one())),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            began = time.perf_counter()
            await contender()
            rates[name].append(EVENTS / (time.perf_counter() - began))
    await client.aclose()
    base = median(rates["publish() in pipelines"])
    print("| | events/s | x pipelines |\n| --- | ---: | ---: |")
    for name, values in rates.items():
        print(f"| {name} | {median(values):,.0f} | {median(values) / base:.2f} |")


def main() -> None:
    """Run Redis and PostgreSQL, and measure."""
    with redis() as environment, postgres() as database:
        url = environment["BENCHMARK_REDIS"]
        broker = {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": url}}
        settings.configure(
            ADRF_SSE={"BROKER": broker, "CHANNEL_HISTORY": EVENTS},
            REST_FRAMEWORK={},
            INSTALLED_APPS=["adrf_sse.brokers.postgres"],
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "HOST": "127.0.0.1",
                    "PORT": database["BENCHMARK_POSTGRES"],
                    "NAME": "postgres",
                    "USER": "postgres",
                }
            },
        )
        django.setup()
        call_command("migrate", verbosity=0)
        asyncio.run(measure(url))


if __name__ == "__main__":
    main()
