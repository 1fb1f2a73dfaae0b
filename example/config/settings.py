"""Settings of the example. Use them only on your own machine."""

import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "the example holds no secrets"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

EXAMPLE_TICK = float(os.environ.get("EXAMPLE_TICK", "1.0"))
"""Seconds between two events of a stream."""

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "adrf",
    "adrf_sse",
    "streams",
    "chat",
    "orders",
    "assistant",
]
HAS_TASKS = django.VERSION >= (6, 0)
"""Whether Django has ``django.tasks``."""
if HAS_TASKS:
    INSTALLED_APPS.append("tasks")
    TASKS = {"default": {"BACKEND": "tasks.backend.DatabaseBackend"}}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("EXAMPLE_DATABASE", BASE_DIR / "example.sqlite3"),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "members"
LOGOUT_REDIRECT_URL = "members"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "adrf-sse example",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",  # Swagger UI shows the events of a stream, which it does not do for 3.2
    # The files of Swagger UI come from drf-spectacular-sidecar, and not from another site.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"view": {"format": "%(levelname)s %(view)s: %(message)s"}},
    "handlers": {
        "streams": {"class": "logging.StreamHandler", "formatter": "view"},
        "model": {"class": "logging.StreamHandler"},
    },
    "loggers": {
        "adrf_sse": {"handlers": ["streams"], "level": "INFO"},
        "assistant": {"handlers": ["model"], "level": "INFO"},
    },
}

# Without PostgreSQL or Redis, each process has its own channels and runs.
if DATABASE_URL := os.environ.get("DATABASE_URL"):
    from config.database_url import parse_database_url

    DATABASES["default"] = parse_database_url(DATABASE_URL)
    INSTALLED_APPS.append("adrf_sse.brokers.postgres")
    ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.postgres.PostgresBroker"}}
if REDIS_URL := os.environ.get("REDIS_URL"):
    ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": REDIS_URL}}}
