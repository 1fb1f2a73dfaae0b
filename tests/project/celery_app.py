"""A Celery application whose task produces runs, from sources that a test directs through Redis.

A source notes in the list ``notes:RUN`` what it does, and takes its items from the list ``items:RUN``.
"""

import os

import redis
import redis.asyncio
from asgiref.sync import async_to_sync
from celery import Celery
from django.conf import settings

from adrf_sse.runs import produce, produce_sync

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.task_queue_settings")

app = Celery("tests", broker=settings.REDIS_URL, backend=settings.REDIS_URL)
app.conf.update(worker_prefetch_multiplier=1, worker_hijack_root_logger=False)


def note(run_id, what):
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
        client.rpush(f"notes:{run_id}", f"{what} {os.getpid()}")


def items_from(run_id):
    """Yield the items of a test, and block between them."""
    note(run_id, "opened")
    try:
        with redis.Redis.from_url(settings.REDIS_URL, protocol=2, socket_timeout=None) as client:
            while (item := client.blpop(f"items:{run_id}")[1].decode()) != "end":
                note(run_id, f"got-{item}")
                yield "token", item
    finally:
        note(run_id, "closed")


async def aitems_from(run_id):
    """Yield the items of a test, and wait between them."""
    note(run_id, "opened")
    try:
        async with redis.asyncio.Redis.from_url(settings.REDIS_URL, protocol=2, socket_timeout=None) as client:
            while (item := (await client.blpop(f"items:{run_id}"))[1].decode()) != "end":
                note(run_id, f"got-{item}")
                yield "token", item
    finally:
        note(run_id, "closed")


def failing(run_id):
    yield "token", "a"
    raise LookupError("a secret")


async def afailing(run_id):
    raise LookupError("a secret")
    yield


KINDS = {
    "sync": (produce_sync, items_from),
    "async": (produce_sync, aitems_from),
    "async_to_sync": (async_to_sync(produce), aitems_from),
    "sync, async_to_sync": (async_to_sync(produce), items_from),
    "failing": (produce_sync, failing),
    "failing at once": (produce_sync, afailing),
}


@app.task
def produce_run(run_id, kind):
    produce_it, source = KINDS[kind]
    return produce_it(run_id, source(run_id))
