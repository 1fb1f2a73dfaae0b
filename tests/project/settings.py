"""The settings of the project used by the tests."""

import json
import os
from pathlib import Path
from tempfile import gettempdir

SECRET_KEY = "for the tests only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.project.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "adrf_sse",
    "adrf_sse.brokers.postgres",
    "tests.project.orders",
]
MIDDLEWARE = os.environ.get("TEST_MIDDLEWARE", "").split()
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        # By default, a temporary file that SQLite removes when the connection is closed (sqlite.org/inmemorydb.html).
        # Django can't close a connection to an in-memory database: if a test opened one before the test database is
        # created, that would be created in it.
        "NAME": os.environ.get("TEST_DATABASE", "file:"),
        "TEST": {"NAME": Path(gettempdir()) / f"adrf_sse-tests-{os.getpid()}.sqlite3"},
    }
}
if port := os.environ.get("TEST_POSTGRES_PORT"):
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": port,
        "NAME": "postgres",
        "USER": "postgres",
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 8}} if os.environ.get("TEST_POSTGRES_POOL") else {},
    }
if port := os.environ.get("TEST_EVENTS_PORT"):  # the database of use_postgres() in another process
    DATABASES["events"] = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": port,
        "NAME": "postgres",
        "USER": "postgres",
    }
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ADRF_SSE = {
    "HEARTBEAT": float(os.environ.get("TEST_HEARTBEAT", 15)),
    **json.loads(os.environ.get("TEST_ADRF_SSE", "{}")),
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
