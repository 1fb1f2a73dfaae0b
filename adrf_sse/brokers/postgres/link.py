"""A connection to PostgreSQL of one event loop, which is opened when it is needed."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import psycopg
from psycopg import sql

from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.queries import POSITION
from adrf_sse.runtime.loops import hold_task

_ERRORS = (psycopg.Error, OSError, TimeoutError)

_open: set["Link"] = set()
"""Kept until their loop ends, even if the settings name another broker before."""

_Connection = psycopg.AsyncConnection[Any]


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
    """

    def __init__(self, database: Database, *, listens: bool = False) -> None:
        self._database = database
        self._listens = listens
        self._turn = asyncio.Lock()
        self._connection: _Connection | None = None
        self._watched: int | None = None  # the socket, while no statement is executed
        self._notified: Notified | None = None
        self._lifetime: AsyncGenerator[None, None] | None = None

    async def execute(self, action: str, statement: Any, parameters: Any = ()) -> list[Any]:
        """Execute a statement, and return its rows. If the caller is cancelled, the statement is still executed.

        Raises ``BrokerUnavailable`` that says that PostgreSQL must do the ``action``.
        """
        task = asyncio.get_running_loop().create_task(self.run(action, statement, parameters))
        hold_task(task)
        task.add_done_callback(_note)
        return await asyncio.shield(task)

    async def run(self, action: str, statement: Any, parameters: Any = ()) -> list[Any]:
        """Execute a statement as ``execute()`` does, for a caller that is cancelled only together with the link."""
        async with self._turn:
            try:
                return await self._run(await self._opened(), statement, parameters)
            except _ERRORS as exc:
                if self._connection is not None and self._connection.closed:
                    self._drop()
                raise self._database.unavailable(action, exc) from exc

    async def listen(self, notified: Notified) -> None:
        """Receive notifications from now on, over a connection that is opened now unless it is open."""
        self._notified = notified
        async with self._turn:
            try:
                await self._opened()
            except _ERRORS as exc:
                raise self._database.unavailable("accept a connection that listens", exc) from exc

    def close(self) -> None:
        """Close the connection, and receive nothing more. Another statement opens a new one."""
        self._notified = None
        self._drop()

    async def _opened(self) -> _Connection:
        if self._connection is None:
            if self._lifetime is None:
                # An event loop that ends closes the asynchronous generators that were started in it.
                self._lifetime = self._until_loop_ends()
                await anext(self._lifetime)
            parameters = self._database.parameters(listens=self._listens)
            async with asyncio.timeout(self._database.timeout):
                self._connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            try:
                await self._prepare(self._connection)
            except BaseException:
                self._drop()
                raise
        return self._connection

    async def _prepare(self, connection: _Connection) -> None:
        if role := self._database.role:
            await self._run(connection, sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        if not self._listens:
            connection.prepare_threshold = None  # there may be a pooler between
            return
        connection.add_notify_handler(lambda notify: self._notify(notify.payload))
        [[topic]] = await self._run(connection, "SELECT adrf_sse_topic()")
        await self._run(connection, sql.SQL("LISTEN {}").format(sql.Identifier(topic)))
        [[position]] = await self._run(connection, POSITION)
        if self._notified is not None:
            self._notified.opened(position)

    async def _run(self, connection: _Connection, statement: Any, parameters: Any = ()) -> list[Any]:
        self._unwatch()  # psycopg watches the socket itself
        timer = asyncio.get_running_loop().call_later(self._database.timeout, _abort, connection)
        try:
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(statement, parameters)
                return await cursor.fetchall() if cursor.description is not None else []
        finally:
            timer.cancel()
            if self._listens and not connection.closed:
                self._watch(connection)

    def _watch(self, connection: _Connection) -> None:
        self._watched = connection.fileno()
        asyncio.get_running_loop().add_reader(self._watched, self._receive, connection)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched)

    def _receive(self, connection: _Connection) -> None:
        """Receive notifications while no statement is executed."""
        try:
            connection.pgconn.consume_input()
        except psycopg.Error:
            self._drop()
            return
        while (message := connection.pgconn.notifies()) is not None:
            self._notify(message.extra.decode())

    def _notify(self, payload: str) -> None:
        if self._notified is not None:
            self._notified.notified(payload)

    def _drop(self) -> None:
        self._unwatch()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()
            if self._notified is not None:
                self._notified.lost()

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        _open.add(self)
        try:
            yield
        finally:
            _open.discard(self)
            self._lifetime = None
            self.close()


def _abort(connection: _Connection) -> None:
    """End what waits for an answer with an error of the connection."""
    with socket.socket(fileno=os.dup(connection.fileno())) as connected:
        connected.shutdown(socket.SHUT_RDWR)


def _note(task: "asyncio.Task[Any]") -> None:
    """Read the exception of a task whose caller may have been cancelled."""
    if not task.cancelled():
        task.exception()
