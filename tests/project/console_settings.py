"""The settings for tests of the console: static files and a strict Content-Security-Policy."""

from tests.project.settings import *  # noqa: F403
from tests.project.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.project.console_views"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
STATIC_URL = "/static/"
MIDDLEWARE = [
    "tests.support.middleware.strict_content_security_policy",
    "django.middleware.csrf.CsrfViewMiddleware",
]
