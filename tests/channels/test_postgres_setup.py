"""The migrations of the PostgreSQL broker, and the errors of projects that lack something that it needs."""

import re
import subprocess
import sys
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections

from adrf_sse.brokers import get_broker
from adrf_sse.channels import current_event_id, publish
from adrf_sse.checks.project import check_broker
from adrf_sse.exceptions import BrokerUnavailable
from tests.support.postgres_server import postgres_alias, use_postgres

APP = "adrf_sse_postgres"
OBJECTS = """
SELECT relname FROM pg_class WHERE relnamespace = 'fresh'::regnamespace
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'fresh'::regnamespace
"""


@pytest.fixture
def fresh(postgres_broker, settings):
    """The alias of a schema with the broker's tables, to which the broker of the settings connects."""
    postgres_broker.execute("DROP SCHEMA IF EXISTS fresh CASCADE; CREATE SCHEMA fresh")
    with postgres_alias(settings, postgres_broker, "fresh", OPTIONS={"options": "-c search_path=fresh"}):
        yield postgres_broker


def migrate(*target, alias="fresh"):
    call_command("migrate", APP, *target, database=alias, verbosity=0)


def objects(server):
    return {name for [name] in server.execute(OBJECTS) if name.startswith("adrf_sse")}


@contextmanager
def database(alias, **described):
    """Add an alias to ``DATABASES`` for a while."""
    connections.databases[alias] = connections.configure_settings({"default": {}, alias: described})[alias]
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


# Migrations


def test_the_migrations_can_be_reversed_and_applied_again(fresh):
    everything = objects(fresh)
    assert {"adrf_sse_event", "adrf_sse_channel", "adrf_sse_publish", "adrf_sse_id"} <= everything
    before = publish("news", 1)
    migrate("zero")
    assert objects(fresh) == set()
    migrate()
    assert objects(fresh) == everything
    assert current_event_id() > before, "clients would skip events"
    assert publish("news", 2) > before


def test_each_migration_can_be_reversed_alone(fresh):
    everything = objects(fresh)
    migrate("0001")
    publish("news", 1)
    migrate()
    assert objects(fresh) == everything


def test_sqlmigrate_shows_the_sql_and_executes_nothing(fresh):
    migrate("zero")
    output = StringIO()
    call_command("sqlmigrate", APP, "0001", database="fresh", stdout=output)
    assert "CREATE TABLE adrf_sse_event" in output.getvalue()
    assert '"fresh"' in output.getvalue()
    assert objects(fresh) == set()
    output = StringIO()
    call_command("sqlmigrate", APP, "0001", database="fresh", backwards=True, stdout=output)
    assert "DROP TABLE" in output.getvalue()


@pytest.mark.django_db
@pytest.mark.usefixtures("postgres_broker")
def test_no_migration_is_missing():
    call_command("makemigrations", APP, check=True, dry_run=True, verbosity=0)


@pytest.mark.usefixtures("postgres_broker")
def test_the_migrations_do_nothing_on_other_databases(tmp_path):
    with database("lite", ENGINE="django.db.backends.sqlite3", NAME=tmp_path / "lite.sqlite3") as connection:
        for target in ([], ["zero"], []):
            migrate(*target, alias="lite")
        assert connection.introspection.table_names() == ["django_migrations"]
        output = StringIO()
        call_command("sqlmigrate", APP, "0001", database="lite", stdout=output)
        assert "adrf_sse_event" not in output.getvalue()


class NotHere:
    def allow_migrate(self, db, app_label, **hints):
        return False if app_label == APP else None


def test_a_router_can_refuse_the_migrations(fresh, settings):
    migrate("zero")
    settings.DATABASE_ROUTERS = ["tests.channels.test_postgres_setup.NotHere"]
    migrate()
    assert objects(fresh) == set()
    migrate("zero")


def test_the_migrations_need_a_schema(postgres_broker, settings):
    postgres_broker.execute("CREATE SCHEMA IF NOT EXISTS removed")
    with postgres_alias(settings, postgres_broker, "removed", OPTIONS={"options": "-c search_path=removed"}):
        postgres_broker.execute("DROP SCHEMA removed CASCADE")
        with pytest.raises(ImproperlyConfigured, match="must create tables in a schema, got none of the search_path"):
            call_command("sqlmigrate", APP, "0001", database="removed", stdout=StringIO())


# Projects that lack something


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alias": "unknown"}, r"must be one of DATABASES, got 'unknown'\. Correct the option alias"),
        ({"alias": "default"}, r"must be a PostgreSQL database, got 'default', which is SQLite\. Give the alias"),
        (
            {"alias": "events", "listen": {"bogus": 1}},
            r"must be a dict of parameters of libpq, .* got bogus\. Correct them",
        ),
        (
            {"alias": "events", "listen": {"pass": "hunter2"}},
            r"must be a dict of parameters of libpq, .* got pass\. Corr",
        ),
        ({"alias": "events", "url": "postgres://"}, r"must be what PostgresBroker takes, got alias, url"),
        ({"alias": None}, r"must be what PostgresBroker takes, got alias"),
        ({"alias": "events", "listen": "password=hunter2"}, r"listen of PostgresBroker must be a dict .* got a str\."),
        ({"alias": "events", "listen": ["host"]}, r"listen of PostgresBroker must be a dict .* got a list\."),
    ],
)
def test_invalid_options_are_errors_of_the_check(settings, postgres_broker, options, words):
    settings.ADRF_SSE = {
        "BROKER": {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker", "OPTIONS": options},
    }
    with pytest.raises(ImproperlyConfigured, match=words) as caught:
        get_broker()
    assert "hunter2" not in str(caught.value)
    [error] = check_broker(None)
    assert (error.id, error.msg) == ("adrf_sse.E003", str(caught.value))
    assert run_checks(tags=["adrf_sse"], databases=["events"])[0].id == "adrf_sse.E003"


def test_a_project_without_the_app_gets_an_error(settings, postgres_broker):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "adrf_sse.brokers.postgres"]
    use_postgres(settings, postgres_broker)
    [error] = check_broker(None)
    assert error.id == "adrf_sse.E003"
    assert re.search(r"must have its app in INSTALLED_APPS, got none\. Add 'adrf_sse\.brokers\.postgres'", error.msg)
    assert "manage.py migrate --database=events" in error.msg


def tables():
    return [found for found in run_checks(databases=["fresh"]) if found.id == "adrf_sse.W007"]


def test_a_project_that_was_not_migrated_gets_a_warning(fresh):
    assert tables() == []
    migrate("zero")
    for call in (lambda: publish("news", 1), current_event_id, get_broker().trim):
        with pytest.raises(BrokerUnavailable, match=r"Run: manage\.py migrate --database=fresh"):
            call()
    [warning] = tables()
    assert re.search(r"'fresh' of DATABASES\) must return its position, .* migrate --database=fresh", warning.msg)
    assert not [found for found in run_checks() if found.id == "adrf_sse.W007"], "checks must not connect by default"
    assert not [found for found in run_checks(databases=["default"]) if found.id == "adrf_sse.W007"]
    migrate()  # its own checks only warn
    assert tables() == []


WITHOUT = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())

from django.conf import settings
import django

settings.configure(
    INSTALLED_APPS=["adrf_sse", *sys.argv[1:]],
    ADRF_SSE={"BROKER": {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker"}},
)
django.setup()
from adrf_sse.checks.project import check_broker

for error in check_broker(None):
    print(error.id, error.msg)
"""


@pytest.mark.parametrize("apps", [[], ["adrf_sse.brokers.postgres"]], ids=["without the app", "with the app"])
def test_a_project_without_psycopg_is_told_what_to_install(apps):
    done = subprocess.run([sys.executable, "-c", WITHOUT, *apps], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1] if apps else done.stdout
    assert "PostgresBroker needs psycopg 3, which is not installed. Run: pip install 'adrf-sse[postgres]'" in said
    assert apps or said.startswith("adrf_sse.E003 ")
