"""A connection to PostgreSQL of one event loop, which is opened when it is needed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from math import ceil
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql

from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.queries import PLANNING, POSITION
from adrf_sse.brokers.postgres.session import Session
from adrf_sse.runtime.loops import hold_task

_ERRORS = (psycopg.Error, OSError, TimeoutError)

_open: set["Link"] = set()
"""Kept until their loop ends, even if the settings name another broker before."""


class Notified(Protocol):
    """What a link calls that listens."""

    def opened(self, position: int) -> None:
        """Note that the link receives notifications of events after this ID."""

    def notified(self, payload: str) -> None:
        """Note that events were published."""

    def lost(self) -> None:
        """Note that the link receives no notifications."""


class Link:
    """Execute statements one after another on one connection, and perhaps receive notifications over it.

    A statement that fails is not repeated, because it may have been executed. The next one opens a new connection.
    A link that ``listens`` closes its connection when nobody listens and no statement is left; others keep it.
    """

    def __init__(self, database: Database, *, listens: bool = False) -> None:
        self._database = database
        self._listens = listens
        self._turn = asyncio.Lock()
        self._unfinished = 0  # statements
        self._session: Session | None = None
        self._notified: Notified | None = None
        self._opened_for: Notified | None = None  # who was told that the session listens
        self._lifetime: AsyncGenerator[None, None] | None = None

    async def execute(
        self, action: str, statement: Any, parameters: Any = (), note: Callable[[list[Any]], None] | None = None
    ) -> list[Any]:
        """Execute a statement, and return its rows.

        If the caller is cancelled, the statement is still executed, and ``note`` is called with its rows. Raises
        ``BrokerUnavailable`` that says that PostgreSQL must do the ``action``.
        """

        async def operation(session: Session) -> list[Any]:
            rows = await session.execute(statement, parameters)
            if note is not None:
                note(rows)
            return rows

        return await self._shielded(action, operation)

    async def listen(self, notified: Notified) -> None:
        """Receive notifications from now on, over a connection that is opened now unless it is open."""
        self._notified = notified
        await self._shielded("accept a connection that listens", self._listen)

    def unlisten(self) -> None:
        """Receive nothing more."""
        self._notified = self._opened_for = None
        self._close_unneeded()

    # Statements have tasks of their own: psycopg would ask the server, which may hang, to end what is cancelled, and
    # would leave a connection that it opens to the garbage collector.

    async def _shielded(self, action: str, operation: Callable[[Session], Awaitable[list[Any]]]) -> list[Any]:
        task = asyncio.get_running_loop().create_task(self._perform(action, operation))
        hold_task(task)
        task.add_done_callback(_note)
        return await asyncio.shield(task)

    async def _perform(self, action: str, operation: Callable[[Session], Awaitable[list[Any]]]) -> list[Any]:
        self._unfinished += 1
        try:
            async with self._turn:
                return await operation(self._session or await self._connect())
        except _ERRORS as exc:
            raise self._database.unavailable(action, exc) from exc
        finally:
            self._unfinished -= 1
            self._close_unneeded()

    def _close_unneeded(self) -> None:
        if self._session is not None and self._listens and self._notified is None and not self._unfinished:
            self._session.close()

    # Connecting

    async def _connect(self) -> Session:
        if self._lifetime is None:
            # An event loop that ends closes the asynchronous generators that were started in it.
            self._lifetime = self._until_loop_ends()
            await anext(self._lifetime)
        timeout = self._database.timeout
        parameters: dict[str, Any] = {"connect_timeout": max(2, ceil(timeout))}  # for each host; psycopg takes >= 2 s
        parameters |= self._database.parameters(listens=self._listens)
        connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
        self._session = session = Session(connection, timeout=timeout, notify=self._notify, lost=self._lose)
        try:
            await self._prepare(session)
        except BaseException:
            session.close()
            raise
        return session

    async def _prepare(self, session: Session) -> None:
        if role := self._database.role:
            await session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        if self._listens:
            await session.execute(PLANNING)
        if self._notified is not None:
            await self._listen(session)

    async def _listen(self, session: Session) -> list[Any]:
        notified = self._notified
        if notified is None or notified is self._opened_for:
            return []
        try:
            [[topic, pid]] = await session.execute("SELECT adrf_sse_topic(), pg_backend_pid()")
            if pid == session.backend_pid:
                session.prepare_statements()  # a pooler announces an ID of its own
            await session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(topic)))
            [[position]] = await session.execute(POSITION)
        except BaseException:
            session.close()  # another server may listen: this one may be a standby
            raise
        if notified is self._notified:
            self._opened_for = notified
            notified.opened(position)
        return []

    # What the session calls

    def _notify(self, payload: str) -> None:
        if self._notified is not None:
            self._notified.notified(payload)

    def _lose(self, session: Session) -> None:
        self._session = self._opened_for = None
        if self._notified is not None:
            self._notified.lost()

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        _open.add(self)
        try:
            yield
        finally:
            _open.discard(self)
            self._lifetime = self._notified = None
            self._turn = asyncio.Lock()  # the old one refers to the loop
            if self._session is not None:
                self._session.close()


class Links:
    """The links to a database, one for each event loop."""

    def __init__(self, database: Database, *, listens: bool = False) -> None:
        self._database = database
        self._listens = listens
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, Link] = WeakKeyDictionary()

    def here(self) -> Link:
        """Return the link of the running loop."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None:
            link = self._links[loop] = Link(self._database, listens=self._listens)
        return link


def _note(task: "asyncio.Task[Any]") -> None:
    """Read the exception of a task whose caller may have been cancelled."""
    if not task.cancelled():
        task.exception()
