"""The database of the environment variable ``DATABASE_URL``."""

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


def parse_database_url(url):
    """Return the entry of ``DATABASES`` for a URL of PostgreSQL, with any of libpq's parameters in its query."""
    try:
        parameters = conninfo_to_dict(url) if url.startswith(("postgres://", "postgresql://")) else {}
    except ProgrammingError:
        parameters = {}
    if "dbname" not in parameters:
        # The message does not contain the URL, because the URL may contain a password.
        raise ImproperlyConfigured(
            "DATABASE_URL must be postgres://user:password@host:port/name, got something else. Correct it, and "
            "percent-encode special characters of its parts."
        )
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    database = {key: parameters.pop(name, "") for key, name in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **database, "OPTIONS": parameters}
