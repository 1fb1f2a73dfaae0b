"""Tests of the installed wheel with only its required dependencies."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]

ALONE = """
import importlib.abc, pkgutil, sys

OPTIONAL = {
    "anyio", "drf_spectacular", "httpx", "orjson", "playwright", "prometheus_client", "psycopg", "psycopg2", "pytest",
    "redis", "uvicorn"
}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in OPTIONAL:
            raise ImportError(f"{name} is optional and not installed")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])

import adrf_sse
from adrf_sse import ServerSentEvent  # safe before django.setup()
import django
from django.conf import settings
from django.core.management import call_command

assert adrf_sse.__file__.startswith(sys.argv[1]), adrf_sse.__file__
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "adrf_sse"],
    ROOT_URLCONF=type("URLs", (), {"urlpatterns": []}),
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
call_command("check")
LEAVES = {
    "adrf_sse.brokers.postgres": "adrf-sse[postgres]",
    "adrf_sse.brokers.redis": "adrf-sse[redis]",
    "adrf_sse.metrics": "adrf-sse[metrics]",
    "adrf_sse.openapi.extension": "adrf-sse[openapi]",
    "adrf_sse.openapi.run_schema": "adrf-sse[openapi]",
    "adrf_sse.openapi.schema": "adrf-sse[openapi]",
}

for module in pkgutil.walk_packages(adrf_sse.__path__, "adrf_sse."):
    if module.name in LEAVES:
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            assert LEAVES[module.name] in str(error), error
            print(module.name)
        else:
            raise AssertionError(module.name)
    elif module.name != "adrf_sse.pytest_plugin":
        importlib.import_module(module.name)
        print(module.name)
"""


@pytest.fixture
def wheel(tmp_path):
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path))))


def test_the_wheel_works_in_installed_apps_and_its_public_modules_can_be_imported(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "wheel")
    assert "adrf_sse/py.typed" in names
    assert {"adrf_sse/static/adrf_sse/console.css", "adrf_sse/static/adrf_sse/console.js"} <= set(names)
    assert {f"adrf_sse/templates/adrf_sse/{name}.html" for name in ("console", "console_panel")} <= set(names)
    assert {name.partition("/")[0] for name in names} == {"adrf_sse", "adrf_sse-0.1.0.dist-info"}
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, str(tmp_path / "wheel")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert {"adrf_sse.views", "adrf_sse.brokers.redis"} <= set(done.stdout.split())


def test_the_package_does_not_patch_other_packages():
    """No class of another package has changed members after the package is imported."""
    script = """
import sys
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["rest_framework"])
django.setup()
import adrf.views, adrf.viewsets, asgiref.sync, django.core.handlers.asgi, django.core.handlers.wsgi
import django.template.response, rest_framework.response, rest_framework.views, uvicorn.server, uvicorn.main
from rest_framework import renderers

def members():
    return {
        (module.__name__, cls.__name__, name): id(member)
        for module in list(sys.modules.values())
        if module.__name__.partition(".")[0] in {"adrf", "asgiref", "django", "rest_framework", "uvicorn"}
        for cls in vars(module).values()
        if issubclass(type(cls), type) and cls.__module__ == module.__name__
        for name, member in vars(cls).items()
        if callable(member)
    }

before = members()
import adrf_sse.decorators, adrf_sse.views, adrf_sse.checks, adrf_sse.apps
after = members()
changed = [key for key in before if after.get(key) != before[key]]
assert not changed, changed
assert len(before) > 1000
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
