"""One connection to PostgreSQL, in an event loop."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

TLS_READS = 3
"""Times that a TLS connection is read, because a record may be larger than what libpq reads at once."""


class Session:
    """Execute statements one after another, and receive notifications between and during them.

    ``notify`` is called with what each notification contains, and ``lost`` when the connection is closed. PostgreSQL
    may take ``timeout`` seconds to answer.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        *,
        timeout: float,
        notify: Callable[[str], None],
        lost: Callable[["Session"], None],
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._notify = notify
        self._lost = lost
        self._socket = _duplicate(connection)
        self._is_busy = False
        self._has_ended = False  # no statement can be executed any more
        self._timed_out = False
        self._is_closed = False
        connection.prepare_threshold = None  # there may be a pooler between
        connection.add_notify_handler(lambda notification: notify(notification.payload))
        self._watch()

    def prepare_statements(self) -> None:
        """Prepare statements that are executed often."""
        self._connection.prepare_threshold = 5

    @property
    def backend_pid(self) -> int:
        """The process that serves the connection, as PostgreSQL or a pooler has announced it."""
        return self._connection.info.backend_pid

    async def execute(self, statement: Any, parameters: Any = ()) -> list[Any]:
        """Execute a statement, and return its rows. Raises an error of psycopg, or ``TimeoutError``."""
        self._unwatch()  # psycopg watches the socket itself
        self._is_busy = True
        timer = asyncio.get_running_loop().call_later(self._timeout, self._time_out)
        try:
            async with self._connection.cursor(binary=True) as cursor:
                await cursor.execute(statement, parameters)
                return await cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as exc:
            if self._timed_out:
                raise TimeoutError(f"no answer in {self._timeout:g} s") from exc
            raise
        finally:
            timer.cancel()
            self._is_busy = False
            if self._has_ended or self._connection.pgconn.transaction_status != TransactionStatus.IDLE:
                self.close()
            else:
                self._watch()

    def close(self) -> None:
        """Close the connection. A statement that is executed ends with an error first."""
        if self._is_busy:
            self._end()
        elif not self._is_closed:
            self._is_closed = True
            self._unwatch()
            self._connection.pgconn.finish()
            self._socket.close()
            self._lost(self)

    def _time_out(self) -> None:
        self._timed_out = True
        self._end()

    def _end(self) -> None:
        """End what waits for an answer, without the help of PostgreSQL, which may hang."""
        self._has_ended = True
        with suppress(OSError):  # it is no longer connected
            self._socket.shutdown(socket.SHUT_RDWR)

    def _watch(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)

    def _unwatch(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _receive(self) -> None:
        """Receive notifications while no statement is executed."""
        pgconn = self._connection.pgconn
        try:
            for _ in range(TLS_READS if pgconn.ssl_in_use else 1):
                pgconn.consume_input()
        except psycopg.Error:
            self.close()
            return
        while (message := pgconn.notifies()) is not None:
            self._notify(message.extra.decode(errors="replace"))


def _duplicate(connection: psycopg.AsyncConnection[Any]) -> socket.socket:
    """Return a connection's socket under another number.

    libpq closes its own when an error occurs, and the number may become that of another socket before we know it.
    """
    try:
        return socket.socket(fileno=os.dup(connection.fileno()))
    except BaseException:  # the process may have too many open files
        connection.pgconn.finish()
        raise
