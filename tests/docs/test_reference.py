"""The reference lists every public name."""

import inspect
import re
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from django.dispatch import Signal

import adrf_sse.decorators
from adrf_sse import authentication, exceptions, metrics, responses, signals, throttling
from tests.docs.examples import DOCS
from tests.unit.test_typed_project import documented_names, exported_names

PAGES = sorted((DOCS / "reference").glob("*.md"))
OTHERS = [authentication, exceptions, metrics, responses, signals, throttling]
"""Public modules without ``__all__``."""
IN_WORDS = {
    *(f"adrf_sse.decorators.{name}" for name in adrf_sse.decorators.__all__ if name != "event_stream"),
    "adrf_sse.streams.open_streams.open_streams",
    "adrf_sse.streams.options.ResponseOptions",
}
"""Public names that the text of the reference explains: those of REST framework, an object, and a type."""


def imported(path: str) -> Any:
    """Return the module, or the value in a module, at a path."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        return import_module(path)


@cache
def documented_paths() -> list[str]:
    return [path for page in PAGES for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)]


@cache
def documented_values() -> list[Any]:
    values = [imported(path) for path in documented_paths()]
    modules = [value for value in values if isinstance(value, ModuleType)]
    return values + [value for module in modules for value in vars(module).values()]


def own_names(module: ModuleType) -> list[tuple[str, str]]:
    """Return the public classes, functions and signals that a module defines."""
    return [
        (module.__name__, name)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (getattr(value, "__module__", None) == module.__name__ or isinstance(value, Signal))
        and (inspect.isclass(value) or inspect.isfunction(value) or isinstance(value, Signal))
    ]


def test_the_reference_describes_every_exported_name():
    names = {f"{module}.{name}" for module, name in [*exported_names(), *documented_names()]}
    assert len(names) > 50
    values = documented_values()
    assert {path for path in names if not any(imported(path) is value for value in values)} == IN_WORDS


@pytest.mark.parametrize("path", sorted(IN_WORDS))
def test_the_reference_names_what_it_does_not_describe(path):
    text = "".join(page.read_text() for page in PAGES)
    assert f"`{path}`" in text or f"`{path.rpartition('.')[2]}`" in text


@pytest.mark.parametrize("module", OTHERS, ids=lambda module: module.__name__)
def test_the_reference_describes_every_name_of_the_module(module):
    hidden = {("adrf_sse.metrics", "OpenStreamTotals")}
    names = own_names(module)
    assert names
    values = documented_values()
    missing = [pair for pair in names if not any(getattr(module, pair[1]) is value for value in values)]
    assert set(missing) <= hidden


def test_each_name_is_described_once_and_has_a_docstring():
    paths = documented_paths()
    assert "adrf_sse.pytest_plugin.event_stream_client" in paths
    assert len(set(paths)) == len(paths)
    for path in paths:
        value = imported(path)
        described = inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)
        assert not described or inspect.getdoc(value), path


def test_each_page_of_the_reference_is_in_the_navigation():
    text = (DOCS.parent / "mkdocs.yml").read_text()
    listed = re.findall(r"reference/\w+\.md", text)
    assert sorted(listed) == [f"reference/{page.name}" for page in PAGES]
