"""Tests of ``tests/typed_project``, which ``.ci/types`` checks with mypy and pyright."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rest_framework.decorators

import adrf_sse
import adrf_sse.decorators

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "tests" / "typed_project"
SOURCES = {path.stem: path.read_text() for path in sorted((PROJECT / "shop").glob("*.py"))}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

RUN = """
import importlib, sys
import django
django.setup()
from django.core.management import call_command
for name in sys.argv[1:]:
    importlib.import_module(f"shop.{name}")
call_command("check")
"""


def imported_names(source: str) -> Iterator[tuple[str, str]]:
    """Return the names of the package that a source imports, each with its module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "adrf_sse":
            yield from ((node.module, alias.name) for alias in node.names)


def exported_names() -> Iterator[tuple[str, str]]:
    """Return the names in each ``__all__`` of the package."""
    modules = [adrf_sse.__name__, *(each.name for each in pkgutil.walk_packages(adrf_sse.__path__, "adrf_sse."))]
    for module in modules:
        yield from ((module, name) for name in getattr(importlib.import_module(module), "__all__", ()))


def documented_names() -> Iterator[tuple[str, str]]:
    """Return the names of the package that the documentation imports."""
    for page in PAGES:
        for module, names in re.findall(r"^ *from (adrf_sse[\w.]*) import ([\w, ]+)$", page.read_text(), re.MULTILINE):
            yield from ((module, name.strip()) for name in names.split(","))


def code_lines(source: str) -> set[str]:
    """Return the lines of a source without white space and comments."""
    lines = (line.partition("  #")[0].strip() for line in source.splitlines())
    return {line for line in lines if line and not line.startswith(("from ", "import "))}


@pytest.mark.parametrize("names", [exported_names, documented_names])
def test_the_typed_project_uses_every_public_name(names):
    used = {pair for source in SOURCES.values() for pair in imported_names(source)}
    public = set(names())
    assert len(public) > 10
    assert sorted(public - used) == []


def test_the_typed_project_runs():
    """Its annotations describe code that works."""
    modules = [name for name in SOURCES if name not in ("__init__", "mistakes", "settings")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, *modules],
        cwd=PROJECT,
        env={"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_examples_of_the_page_about_types_are_in_the_typed_project():
    page = (ROOT / "docs" / "typing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    assert code_lines("\n".join(blocks)) <= code_lines(SOURCES["typing_page"])
    assert set(imported_names("\n".join(blocks))) == set(imported_names(SOURCES["typing_page"]))


def test_the_decorators_of_rest_framework_are_its_own():
    names = [name for name in adrf_sse.decorators.__all__ if name != "event_stream"]
    assert len(names) == 7
    for name in names:
        assert getattr(adrf_sse.decorators, name) is getattr(rest_framework.decorators, name)
