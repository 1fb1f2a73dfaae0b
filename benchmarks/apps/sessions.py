"""The database of the contenders with sessions: one user, who is signed in."""

import os
from datetime import timedelta
from multiprocessing.connection import Connection

KEY = "abcdefghijklmnopqrstuvwxyz012345"
"""Key of the session."""

COOKIE = f"sessionid={KEY}"


def create_database(pipe: Connection, name: str) -> None:
    """Create the tables, a user and a session, in a process of its own, and tell the pipe."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.apps.settings", "BENCHMARK_SESSIONS": name}
    import django

    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.models import Session
    from django.core.management import call_command
    from django.db import connections
    from django.utils import timezone

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("somebody")
    session = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    Session.objects.save(KEY, session, timezone.now() + timedelta(days=1))
    connections.close_all()
    pipe.send(None)
