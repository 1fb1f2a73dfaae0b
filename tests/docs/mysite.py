"""A project ``mysite``, whose files are the examples of a page.

The first line of an example names its file, such as ``# mysite/views.py``. A second example of a file continues it, so
it imports only what is new.
"""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.examples import Block, check_names, code_blocks, python_blocks, run_block

FILE = re.compile(r"(?:# |<!-- |// )mysite/(?P<path>[\w/]+\.(?:py|html|js))\b")
PACKAGE = "mysite"


def load(document: str, **models: type) -> dict[str, ModuleType]:
    """Run the Python examples of a page as the modules of ``mysite``, and return the modules by their short names.

    They can import each other only while they run. ``models`` are the project's own, in place of those of the page.
    """
    modules = {"": _module(PACKAGE), "models": _module(f"{PACKAGE}.models"), "urls": _module(f"{PACKAGE}.urls")}
    vars(modules["models"]).update(models)
    modules["urls"].urlpatterns = []
    codes = []
    try:
        for block in python_blocks(document):
            name = file_of(block)
            assert name is not None, f"{block}: the first line must name the file, such as # mysite/views.py"
            stem = name.removesuffix(".py")
            if stem == "models":
                _compare(block, models)
                continue
            if stem not in modules:
                modules[stem] = _module(f"{PACKAGE}.{stem}")
            codes.append((block, run_block(block, vars(modules[stem])), vars(modules[stem])))
    finally:
        for module in modules.values():
            del sys.modules[module.__name__]
    for block, code, namespace in codes:
        check_names(block, code, namespace)
    return modules


def _compare(block: Block, models: dict[str, type]) -> None:
    """Run the models of a page in a registry of their own. Their fields must be fields of those that replace them."""
    from django.test.utils import isolate_apps  # settings import this module

    (module,) = {model.__module__ for model in models.values()}
    shown: dict[str, Any] = {"__name__": module}
    with isolate_apps(module.removesuffix(".models")):
        run_block(block, shown)
    for name, model in models.items():
        for field in shown[name]._meta.local_concrete_fields:
            arguments = field.deconstruct()[1:]
            assert model._meta.get_field(field.name).deconstruct()[1:] == arguments, f"{block}: {name}.{field.name}"


def templates(document: str) -> dict[str, str]:
    """Return the templates of a page by their names. Those without a name are ``authentication-1.html`` and so on."""
    blocks = [block for block in code_blocks(document) if block.language == "html"]
    named = {name.removeprefix("templates/"): block.code for block in blocks if (name := file_of(block))}
    parts = [block.code for block in blocks if not file_of(block)]
    return named | {f"{Path(document).stem}-{number}.html": code for number, code in enumerate(parts, 1)}


def file_of(block: Block) -> str | None:
    """Return the path below ``mysite`` of the file that an example is, or ``None`` for a part of a file."""
    found = FILE.match(block.code)
    return found and found["path"]


def _module(name: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    else:
        module.__path__ = []
    return module


def url_patterns(modules: dict[str, Any]) -> list[Any]:
    """Return the URL patterns of a page."""
    return list(modules["urls"].urlpatterns)
