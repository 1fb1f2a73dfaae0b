"""The contenders of all suites."""

from dataclasses import dataclass

from benchmarks.programs import NGINX, POSTGRES, REDIS, is_installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Name one way to serve events, and what it needs."""

    name: str
    module: str = ""
    """Module of ``benchmarks.apps`` whose ``application`` is served; nginx and what has no server have none."""
    needs: tuple[str, ...] = ()
    """Python modules, and programs of ``benchmarks.programs``, that have to be installed."""
    database: bool = False
    """It reads and writes rows of an SQLite database in a file."""
    sessions: bool = False
    """It has Django's ordinary middleware, and a user's session in an SQLite database in a file."""
    note: str = ""
    """What a reader of its figures should know."""

    @property
    def missing(self) -> str | None:
        """The first module or program that is not installed."""
        return next((name for name in self.needs if not is_installed(name)), None)


BASELINE = "raw ASGI"

VIEW = "adrf_sse, async view"

DJANGO = "plain Django"

RENDERER = "adrf_sse, renderer only"

FASTAPI = "FastAPI"

STREAMS = (
    Contender(name=BASELINE, module="raw", note="one `send` for each event"),
    Contender(name=VIEW, module="sse_view"),
    Contender(name="adrf_sse, async view, orjson", module="sse_orjson", needs=("orjson",)),
    Contender(
        name=RENDERER,
        module="sse_renderer",
        note="an unmodified adrf view with `EventStreamRenderer` in `renderer_classes`",
    ),
    Contender(name=DJANGO, module="plain_django", note="a `StreamingHttpResponse` of an async generator"),
    Contender(
        name="adrf, StreamingHttpResponse", module="plain_adrf", note="returned by the view, so that it is not rendered"
    ),
    Contender(name="django-flosse", module="flosse", needs=("django_flosse",)),
    Contender(
        name="django-eventstream",
        module="eventstream",
        needs=("django_eventstream",),
        note="one channel for each stream, no storage; it keeps 10 events for a stream and drops the rest, so its "
        "publisher waits where 10 are pending",
    ),
    Contender(name="sse-starlette", module="starlette_sse", needs=("sse_starlette",)),
    Contender(name=FASTAPI, module="fastapi_sse", needs=("fastapi",), note="`EventSourceResponse` of `fastapi.sse`"),
)

LIVE_USERS = "adrf_sse, live_by, a user each"

LIVE_UNSHARED = "adrf_sse, no partition"

LIVE = (
    Contender(
        name=BASELINE,
        module="live_raw",
        database=True,
        note="an `asyncio.Queue` for each subscriber; the instance that was saved is serialized once, without a "
        "serializer, and sent to all",
    ),
    Contender(
        name="adrf_sse, live_by, one user",
        module="live_by_user",
        database=True,
        note='`LiveModelMixin` with `live_by = "user"`; all subscribers are the user whose rows change',
    ),
    Contender(
        name=LIVE_USERS,
        module="live_by_user",
        database=True,
        note="the same view; each subscriber is another user, and one of them receives the events",
    ),
    Contender(
        name="adrf_sse, one partition",
        module="live_shared",
        database=True,
        note="`LiveModelMixin`; `get_live_partition()` returns a constant",
    ),
    Contender(
        name=LIVE_UNSHARED,
        module="live_unshared",
        database=True,
        note="`LiveModelMixin` as it is, so that rows are read for each subscriber; fewer events",
    ),
    Contender(
        name="adrf_sse, publish()",
        module="live_published",
        database=True,
        note="a receiver of `post_save` that publishes the data of a serializer when the transaction commits, and a "
        "`ChannelStreamView`",
    ),
)

OVER_REDIS = "adrf_sse, Redis"

OVER_POSTGRES = "adrf_sse, PostgreSQL"

FANOUT = (
    Contender(
        name=BASELINE,
        module="fanout_raw",
        note="an `asyncio.Queue` for each subscriber, events encoded once, one `send` for each subscriber and event",
    ),
    Contender(name="adrf_sse, memory", module="fanout_sse", note="a `ChannelStreamView`"),
    Contender(
        name=OVER_REDIS,
        module="fanout_sse",
        needs=("redis", REDIS),
        note="the same view; Redis in a process of its own on loopback, events published by the server's process",
    ),
    Contender(
        name=OVER_POSTGRES,
        module="fanout_sse",
        needs=("psycopg", POSTGRES),
        note="the same with PostgreSQL and its defaults, so that each event is on the disk before it is delivered",
    ),
    Contender(
        name="django-eventstream",
        module="fanout_eventstream",
        needs=("django_eventstream",),
        note="no storage; events that come while 10 events wait for a subscriber are lost to it",
    ),
    Contender(
        name="nginx with nchan",
        needs=(NGINX,),
        note="one worker, written in C; published by a client, one HTTP request for each event, each awaited in the "
        "paced pattern, pipelined in the burst",
    ),
)

PLAIN = "INSERT"

PUBLISHING = (
    Contender(
        name=PLAIN,
        needs=("psycopg", POSTGRES),
        note="nothing is published; the same channels and bytes are inserted through Django's cursor into a table "
        "with a primary key and no other index, and a transaction only saves its row",
    ),
    Contender(
        name=OVER_POSTGRES,
        needs=("psycopg", POSTGRES),
        note="`publish()`, inside of the transactions",
    ),
    Contender(
        name=OVER_REDIS,
        needs=("psycopg", POSTGRES, "redis", REDIS),
        note="the same transactions, and `transaction.on_commit(lambda: publish(…))` in them; Redis keeps nothing on "
        "disk",
    ),
)

COMPRESS_OFF = "adrf_sse"

COMPRESS_ON = "adrf_sse, compress"

COMPRESS = (
    Contender(name=BASELINE, module="compress_raw", note="not compressed"),
    Contender(
        name=COMPRESS_OFF, module="compress_off", note="not compressed; a view that yields, and a `ChannelStreamView`"
    ),
    Contender(name=COMPRESS_ON, module="compress_on", note="the same views with `compress = True`"),
    Contender(
        name="GZipMiddleware",
        module="compress_middleware",
        note="Django's, on a `StreamingHttpResponse`; before Django 6.0, each chunk is a gzip member of its own",
    ),
)

ANSWER = "adrf, a JSON answer"

CHANNEL = "adrf_sse, channel"

PROCESSES = "adrf_sse, Redis, two processes"

STORMS = (
    Contender(name=BASELINE, module="raw"),
    Contender(
        name=DJANGO,
        module="storm_django",
        sessions=True,
        note="a `StreamingHttpResponse` of an async generator; the view reads the user with `auser()`",
    ),
    Contender(name=ANSWER, module="storm_adrf", sessions=True, note="`Response(event)` of an async view, not a stream"),
    Contender(name=VIEW, module="sse_view", sessions=True),
    Contender(name=RENDERER, module="sse_renderer", sessions=True),
    Contender(
        name=CHANNEL,
        module="storm_channel",
        sessions=True,
        note="a `ChannelStreamView`, memory broker; its streams do not end, so the client leaves after `ready`",
    ),
    Contender(name=FASTAPI, module="fastapi_sse", needs=("fastapi",), note="without middleware, sessions and users"),
    Contender(
        name=PROCESSES,
        module="every_source",
        needs=("redis", REDIS),
        note="a `ChannelStreamView`; the processes and Redis share a machine with the clients and the publisher",
    ),
)
