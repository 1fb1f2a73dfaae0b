"""The settings of every contender that is a Django project: nothing that a stream does not need."""

import json
import os
from typing import Any

DEBUG = False
SECRET_KEY = "benchmarks"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = os.environ.get("BENCHMARK_APP")
MIDDLEWARE: list[str] = []
INSTALLED_APPS = ["rest_framework", "adrf_sse"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
if "BENCHMARK_LOG" in os.environ:
    # Django would send the errors of requests to the administrators by mail, and print nothing.
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django": {"handlers": ["console"], "level": "ERROR", "propagate": False}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    }
if "BENCHMARK_DATABASE" in os.environ:
    INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth", "benchmarks.apps.live_rows"]
    MIGRATION_MODULES = dict.fromkeys(("contenttypes", "auth"))
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BENCHMARK_DATABASE"],
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
                "transaction_mode": "IMMEDIATE",
            },
        }
    }
if "BENCHMARK_SESSIONS" in os.environ:
    MIDDLEWARE += [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCHMARK_SESSIONS"]}}
    REST_FRAMEWORK |= {
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
        "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    }
if "BENCHMARK_POSTGRES" in os.environ:
    INSTALLED_APPS += ["django.contrib.contenttypes", "adrf_sse.brokers.postgres", "benchmarks.apps.rows"]
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["BENCHMARK_POSTGRES"],
            "NAME": "postgres",
            "USER": "postgres",
        }
    }
ADRF_SSE: dict[str, Any] = json.loads(os.environ.get("BENCHMARK_ADRF_SSE", "{}"))
if "BENCHMARK_REDIS" in os.environ:
    ADRF_SSE |= {
        "BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": os.environ["BENCHMARK_REDIS"]}}
    }
