"""The settings for tests of shared streams."""

from tests.project.console_settings import *  # noqa: F403

ROOT_URLCONF = "tests.project.sse_js_views"
