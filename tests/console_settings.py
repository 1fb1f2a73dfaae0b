"""The settings of the project that shows consoles: static files, and a strict Content-Security-Policy."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.console_views"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
STATIC_URL = "/static/"
MIDDLEWARE = [
    "tests.middleware.strict_content_security_policy",
    "django.middleware.csrf.CsrfViewMiddleware",
]
