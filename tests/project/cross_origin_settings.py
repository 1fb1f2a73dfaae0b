"""The settings for tests of cross-origin requests; the environment variable ``TEST_CORS`` changes them."""

import json
import os

from tests.project.settings import *  # noqa: F403
from tests.project.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.project.cross_origin_views"
INSTALLED_APPS = [*INSTALLED_APPS, "corsheaders"]
MIDDLEWARE = [
    "tests.project.cross_origin_views.record_requests",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
globals().update(json.loads(os.environ.get("TEST_CORS", "{}")))
