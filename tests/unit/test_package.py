"""Tests of the sdist, the wheel and their metadata, and of the installed wheel with only its required dependencies."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from adrf_sse import __version__

ROOT = Path(__file__).parents[2]
SITE = "https://adrf-sse.readthedocs.io/en/stable/"
REPOSITORY = "https://github.com/adrf-sse/adrf-sse/blob/main/"

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
    ALLOWED_HOSTS=["*"],
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


SERVE = """
import asyncio
from django.test import override_settings
from django.urls import path
from adrf_sse.testing import EventStreamClient
from adrf_sse.views import AsyncSSEAPIView

class Numbers(AsyncSSEAPIView):
    permission_classes = authentication_classes = []

    async def get(self, request):
        for number in range(3):
            yield "number", number

settings.ROOT_URLCONF.urlpatterns.append(path("", Numbers.as_view()))
with EventStreamClient() as client, client.get("/") as stream:
    assert [event.data for event in stream.take(3)] == ["0", "1", "2"]
"""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return Path(next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")))))


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def build_wheel(root, folder):
    return Path(next(WheelBuilder(str(root)).build(directory=str(folder))))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "adrf_sse/py.typed" in names
    assert {"adrf_sse/static/adrf_sse/console.css", "adrf_sse/static/adrf_sse/console.js"} <= set(names)
    assert {f"adrf_sse/templates/adrf_sse/{name}.html" for name in ("console", "console_panel")} <= set(names)
    assert {name.partition("/")[0] for name in names} == {"adrf_sse", f"adrf_sse-{__version__}.dist-info"}


def test_the_wheel_of_the_sdist_is_that_of_the_repository(wheel, unpacked, tmp_path):
    again = build_wheel(unpacked, tmp_path)
    assert again.read_bytes() == wheel.read_bytes()


def test_the_installed_wheel_works_with_the_required_dependencies_alone(wheel, tmp_path):
    """It works in ``INSTALLED_APPS``, its modules can be imported, and it streams."""
    folder = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True)
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE + SERVE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert {"adrf_sse.views", "adrf_sse.brokers.redis"} <= set(done.stdout.split())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a repository knows its files")
def test_the_sdist_has_every_file_of_the_repository(unpacked):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.splitlines() if (ROOT / name).exists()}
    assert tracked - {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")} == set()


def test_the_links_of_the_package_page_are_absolute_and_lead_to_pages_that_exist(metadata):
    links = re.findall(r"\]\(([^)]*)\)", metadata.get_payload())
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    pages = [link.removeprefix(SITE).partition("#")[0].strip("/") for link in links if link.startswith(SITE)]
    files = [link.removeprefix(REPOSITORY) for link in links if link.startswith(REPOSITORY)]
    assert len(pages) > 20
    assert files
    names = {page: (f"docs/{page}.md", f"docs/{page}/index.md") for page in pages}
    assert [page for page in pages if not any((ROOT / name).exists() for name in names[page])] == []
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_the_metadata_names_the_version_of_the_package(metadata):
    assert metadata["Version"] == __version__
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    labels = [url.partition(",")[0] for url in metadata.get_all("Project-URL")]
    assert labels == ["Documentation", "Source", "Issues", "Changelog"]


def test_the_supported_versions_are_those_that_are_tested(metadata):
    """The classifiers and the requirements, ``.ci/run``, the workflow and the README agree."""
    classifiers = metadata.get_all("Classifier")
    pythons = [
        found[1] for name in classifiers if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", name))
    ]
    djangos = [found[1] for name in classifiers if (found := re.fullmatch(r"Framework :: Django :: (.*)", name))]
    pairs = re.findall(r"\b(3\.\d+):(\d\.\d)\b", (ROOT / ".ci" / "run").read_text())
    assert {pythons[0]} | {python for python, _ in pairs} == set(pythons)
    assert {djangos[0]} | {django for _, django in pairs} == set(djangos)
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert set(re.findall(r'python: "(.*?)", django: "(.*?)"', workflow)) == {(pythons[0], djangos[0]), *pairs}
    oldest = dict(requirements(metadata))
    line = (
        f"Python {pythons[0]} to {pythons[-1]} · Django {', '.join(djangos)} · djangorestframework ≥ "
        f"{oldest['djangorestframework']} · adrf ≥ {oldest['adrf']} · MIT\n"
    )
    assert (ROOT / "README.md").read_text().endswith(line)


def requirements(metadata):
    """Yield the name and the oldest version of each requirement that no extra needs."""
    for line in metadata.get_all("Requires-Dist"):
        if "extra ==" not in line:
            yield re.fullmatch(r"([\w.-]+)>=([\w.]+)", line).groups()


def test_the_oldest_supported_version_of_each_requirement_is_tested(metadata):
    oldest = subprocess.run([sys.executable, str(ROOT / ".ci" / "oldest")], capture_output=True, text=True, check=True)
    constraints = dict(line.split("==") for line in oldest.stdout.splitlines())
    for name, version in requirements(metadata):
        assert constraints[name] == version
    assert {"drf-spectacular", "prometheus-client", "psycopg", "redis", "uvicorn"} <= constraints.keys()


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
