"""The settings of the how-to pages: those of a new project, and the templates of the pages."""

import os

from tests.docs.examples import code_blocks, run_block
from tests.docs.mysite import file_of, templates
from tests.project.settings import *  # noqa: F403
from tests.project.settings import INSTALLED_APPS

PAGES = os.environ["TEST_PAGES"].split()
DEBUG = True
ROOT_URLCONF = "tests.docs.how_to_urls"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
STATIC_URL = "/static/"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
REST_FRAMEWORK = {}
_templates = {name: code for page in PAGES for name, code in templates(f"how-to/{page}.md").items()}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
            "loaders": [
                ("django.template.loaders.locmem.Loader", _templates),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }
]
_apps = INSTALLED_APPS
for page in PAGES:
    for block in code_blocks(f"how-to/{page}.md"):
        if file_of(block) == "settings.py":
            run_block(block, globals())
INSTALLED_APPS = [*dict.fromkeys([*_apps, *(app for app in INSTALLED_APPS if app != "mysite")])]
