"""The database of the broker: Django's connection for publishing, parameters for others, and the errors of both."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error
from django.utils.connection import ConnectionDoesNotExist

from adrf_sse.documentation import page
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.logs import about, logger

try:
    import psycopg
    from psycopg.conninfo import make_conninfo
except ImportError as exc:
    raise ImportError(
        "PostgresBroker needs psycopg 3, which is not installed. Run: pip install 'adrf-sse[postgres]'"
    ) from exc

APP = "adrf_sse.brokers.postgres"

_MIGRATE = "Run: manage.py migrate --database={alias}"
_CONNECTIONS = "Raise its max_connections, or use a connection pool for the requests"
_LOGIN = "Correct the user and password of the database"

# By the code of the error, SQLSTATE.
_HINTS = {
    "42P01": _MIGRATE,
    "42883": _MIGRATE,
    "25006": "Connect to the primary, not to a standby or a database that is read-only",
    "53100": "Free disk space, or keep less with CHANNEL_HISTORY and CHANNEL_TTL",
    "53300": _CONNECTIONS,
    "55P03": "Look for what holds the lock in pg_locks, or raise lock_timeout",
    "57014": "Look for what the statement waited for in pg_locks, or raise statement_timeout",
    "42501": f"Grant its user the documented privileges ({page('brokers/postgresql#a-role-with-few-privileges')})",
    "28P01": _LOGIN,
}

# By a part of the message: libpq gives no code for connections that are refused, and a pool none at all.
_HINTS_OF_CONNECTIONS = {
    "too many clients": _CONNECTIONS,
    "too many connections": _CONNECTIONS,
    "remaining connection slots": _CONNECTIONS,
    "no more connections allowed": _CONNECTIONS,
    "authentication failed": _LOGIN,
    "no password supplied": _LOGIN,
    "get a connection after": "Check that it runs and can be reached, or raise the max_size of the connection pool",
}

_LOST = (
    "PostgreSQL must send notifications of events, got none. Streams receive events only every few seconds. If there "
    "is a pooler in front of PostgreSQL, give PostgresBroker the option listen, with the host and port of PostgreSQL."
)


class Database:
    """The database with an alias of ``DATABASES``.

    ``listen`` overrides parameters of libpq for the connection that listens. Raises ``ImproperlyConfigured`` if there
    is no such alias, if it is not PostgreSQL with psycopg 3, if the app is not installed, or for parameters that libpq
    does not know.
    """

    timeout = 5.0
    """Seconds that PostgreSQL may take to answer a listener or a reader. To connect, ``connect_timeout`` precedes."""

    def __init__(self, alias: str, listen: Mapping[str, Any] | None) -> None:
        self.alias = alias
        self._has_warned = False
        try:
            connection = connections[alias]
        except ConnectionDoesNotExist as exc:
            raise ImproperlyConfigured(
                f"The alias of PostgresBroker must be one of DATABASES, got {alias!r}. Correct the option alias."
            ) from exc
        if connection.vendor != "postgresql":
            raise ImproperlyConfigured(
                f"The alias of PostgresBroker must be a PostgreSQL database, got {alias!r}, which is "
                f"{connection.display_name}. Give the alias of another database, or choose another broker."
            )
        if not apps.is_installed(APP):
            raise ImproperlyConfigured(
                f"PostgresBroker must have its app in INSTALLED_APPS, got none. Add {APP!r}, and run: "
                f"manage.py migrate --database={alias}"
            )
        try:
            self._listen = dict(listen or {})
            make_conninfo("", **self._listen)
        except (psycopg.Error, TypeError, ValueError) as exc:
            # The message names the parameters without their values, which may be secret.
            got = ", ".join(map(str, listen)) if isinstance(listen, Mapping) else f"a {type(listen).__name__}"
            raise ImproperlyConfigured(
                "The option listen of PostgresBroker must be a dict of parameters of libpq, such as host and port, got "
                f"{got}. Correct them."
            ) from exc

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """Django's connection of this thread."""
        return connections[self.alias]

    @property
    def autocommits(self) -> bool:
        """Whether what is executed outside of ``atomic()`` is committed at once: ``AUTOCOMMIT`` of the database."""
        return bool(self.connection.settings_dict["AUTOCOMMIT"])

    def in_transaction(self) -> bool:
        """Return whether Django's connection is in a transaction, so that what it executes is not committed at once."""
        connection = self.connection
        if connection.connection is None:
            return not self.autocommits
        return connection.in_atomic_block or not connection.autocommit

    def query(self, action: str, sql: str, parameters: Sequence[Any]) -> Any:
        """Return the first row of a query through Django's connection, in its transaction if there is one.

        Raises ``BrokerUnavailable`` that says that PostgreSQL must do the ``action``.
        """
        connection = self.connection
        try:
            with transaction.mark_for_rollback_on_error(self.alias), connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchone()
        except transaction.TransactionManagementError:
            raise
        except SynchronousOnlyOperation as exc:
            raise SynchronousOnlyOperation(
                "PostgresBroker must be called outside of the event loop, as Django's ORM must, got called inside. "
                "Call 'await apublish(…)' or 'await acurrent_event_id()' instead."
            ) from exc
        except Error as exc:
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            raise self.unavailable(action, exc.__cause__ or exc) from exc

    def parameters(self, *, listens: bool) -> dict[str, Any]:
        """Return what psycopg takes to connect as Django does, except for what concerns Django's own cursors."""
        parameters = self.connection.get_connection_params()
        for name in ("cursor_factory", "context", "prepare_threshold"):
            parameters.pop(name, None)
        name = "adrf_sse" if listens else "adrf_sse writer"
        return {"fallback_application_name": name} | parameters | (self._listen if listens else {})

    @property
    def role(self) -> str | None:
        """The role that connections assume."""
        role: str | None = self.connection.settings_dict["OPTIONS"].get("assume_role")
        return role

    def unavailable(self, action: str, exc: BaseException) -> BrokerUnavailable:
        """Return the error that says what PostgreSQL must do, what it did, and what to check."""
        error = " ".join(f"{type(exc).__name__}: {exc}".split()).rstrip(".")
        hint = _hint(getattr(exc, "sqlstate", None), error).format(alias=self.alias)
        return BrokerUnavailable(f"PostgreSQL ({self.alias!r} of DATABASES) must {action}, got {error}. {hint}.")

    def warn_of_lost_notifications(self) -> None:
        """Log once that there seems to be a pooler that drops notifications."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(_LOST, extra=about(None))


def _hint(code: str | None, error: str) -> str:
    hints = [hint for part, hint in _HINTS_OF_CONNECTIONS.items() if code is None and part in error]
    return _HINTS.get(code or "", hints[0] if hints else "Check that it runs and can be reached")
