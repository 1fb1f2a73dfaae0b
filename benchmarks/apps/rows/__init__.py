"""The Django app of the contenders that write rows to PostgreSQL: its models, and how their tables are created."""

import os
from multiprocessing.connection import Connection


def create_tables(pipe: Connection, environment: dict[str, str]) -> None:
    """Create the tables of the broker and of this app, in a process of its own, and tell the pipe."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings", **environment}
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", run_syncdb=True, verbosity=0)
    connections.close_all()
    pipe.send(None)
