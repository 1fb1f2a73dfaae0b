"""The settings of the project."""

from datetime import timedelta

SECRET_KEY = "for the type checkers only"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "drf_spectacular",
    "adrf_sse",
]
ROOT_URLCONF = "shop.urls"
ADRF_SSE = {
    "HEARTBEAT": timedelta(seconds=20),
    "SHUTDOWN_RETRY_SPREAD": (500, 2000),
    "BROKER": {"BACKEND": "shop.brokers.CountingBroker", "OPTIONS": {"start": 1}},
}
