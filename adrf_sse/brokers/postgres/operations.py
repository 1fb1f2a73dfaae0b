"""The operation of the migrations: SQL that only PostgreSQL understands."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation


class PostgresSQL(Operation):
    """Execute SQL on databases that are PostgreSQL and that routers allow; do nothing on others.

    In the SQL, ``{schema}`` is the schema in which tables are created, quoted. The functions find the tables there,
    whatever the search path of their caller is. ``{sequence}`` and ``{staged}`` are two of them. ``{topic}`` is the
    name for ``LISTEN``, as a literal, and ``{lock}`` the first of two integers that name the advisory locks.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, sql: str, reverse_sql: str) -> None:
        self.sql = sql
        self.reverse_sql = reverse_sql

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: the app has no models."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Execute the SQL."""
        self._execute(self.sql, app_label, schema_editor)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Execute the reverse SQL."""
        self._execute(self.reverse_sql, app_label, schema_editor)

    def describe(self) -> str:
        """Return a description."""
        return "SQL for PostgreSQL"

    def _execute(self, sql: str, app_label: str, schema_editor: BaseDatabaseSchemaEditor) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not router.allow_migrate(connection.alias, app_label):
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            schema = cursor.fetchone()[0]
        if schema is None:
            raise ImproperlyConfigured(
                f"The migrations must create tables in a schema, got none of the search_path of {connection.alias!r}. "
                "Create the schema."
            )
        topic = f"adrf_sse.{schema}".encode()[:63].decode(errors="ignore")
        quoted = schema_editor.quote_name(schema)
        names = {
            "{schema}": quoted,
            "{sequence}": _regclass(f"{quoted}.adrf_sse_id"),
            "{staged}": _regclass(f"{quoted}.adrf_sse_staged"),
            "{lock}": f"{_regclass(f'{quoted}.adrf_sse_event')}::oid::integer",
            "{topic}": _literal(topic),
        }
        for placeholder, name in names.items():
            sql = sql.replace(placeholder, name)
        schema_editor.execute(sql, params=None)


def _regclass(name: str) -> str:
    return f"{_literal(name)}::regclass"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
