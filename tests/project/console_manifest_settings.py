"""The settings for tests of the console with static files whose names contain a hash."""

import os

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

from tests.project.console_settings import *  # noqa: F403


class Storage(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = bool(os.environ["TEST_REWRITE_IMPORTS"])


ROOT_URLCONF = "tests.project.console_manifest_urls"
STATIC_ROOT = os.environ["TEST_STATIC_ROOT"]
STORAGES = {"staticfiles": {"BACKEND": "tests.project.console_manifest_settings.Storage"}}
