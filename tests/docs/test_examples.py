"""Every Python example of every page is executed."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
import pytest
from django.core import signals as request_signals
from django.db.models import signals as model_signals
from django.dispatch import Signal

from adrf_sse import signals
from tests.docs import stand_ins
from tests.docs.examples import DOCS, ROOT, Block, code_blocks, global_names, python_blocks
from tests.docs.pages import COMPARED, COPIED, PAGES, TESTED, page_examples

MODULES = {**TESTED, **COPIED, **COMPARED}
DOCUMENTS = [
    "../README.md",
    "../CONTRIBUTING.md",
    *sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")),
]
OTHER_PYTHON = ("py", "python2", "python3", "py3", "pycon", "ipython", "pyi")


def python_by_page() -> dict[str, list[Block]]:
    blocks = {document: python_blocks(document) for document in DOCUMENTS}
    return {document: found for document, found in blocks.items() if found}


@contextmanager
def restored_state() -> Iterator[None]:
    """Remove the receivers and the metrics that examples add."""
    modules = (signals, model_signals, request_signals)
    every = [value for module in modules for value in vars(module).values() if isinstance(value, Signal)]
    receivers = {signal: list(signal.receivers) for signal in every}
    collectors = set(prometheus_client.REGISTRY._collector_to_names)
    yield
    for signal, before in receivers.items():
        signal.receivers = before
        signal.sender_receivers_cache.clear()
    for collector in set(prometheus_client.REGISTRY._collector_to_names) - collectors:
        prometheus_client.REGISTRY.unregister(collector)


@pytest.mark.parametrize("document", PAGES)
def test_the_examples_of_the_page_are_executed(document):
    with restored_state():
        page_examples(document)


@pytest.mark.parametrize("document", PAGES)
def test_the_page_uses_each_name_that_stands_in(document):
    trees = [ast.parse(block.code) for block in python_blocks(document)]
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(PAGES[document].split()) <= used & set(stand_ins.__all__)


def test_each_python_example_is_on_a_page_that_a_test_executes():
    known = {**PAGES, **MODULES}
    unknown = [str(block) for document, blocks in python_by_page().items() if document not in known for block in blocks]
    assert unknown == [], "Add the page to a table in tests/docs/pages.py"


def test_each_page_of_the_tables_has_examples_and_is_in_one_table():
    assert sorted(python_by_page()) == sorted([*PAGES, *TESTED, *COPIED, *COMPARED])


def calls(module: str) -> Iterator[tuple[str, str]]:
    """Return the name of each function that a module of tests calls with a text, and the text."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Call):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield ast.unparse(node.func), argument.value


@pytest.mark.parametrize("document", TESTED)
def test_the_module_executes_all_examples_of_the_page(document):
    assert ("examples", document) in calls(TESTED[document])


@pytest.mark.parametrize("document", [*COPIED, *COMPARED])
def test_the_module_names_the_page_whose_examples_it_copies_or_compares(document):
    tree = ast.parse((ROOT / MODULES[document]).read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert texts & {document, Path(document).stem}


@pytest.mark.parametrize("document", COPIED)
def test_each_example_that_is_copied_names_its_file(document):
    unnamed = [str(block) for block in python_blocks(document) if not re.match(r"# [\w./]+\.py(, .*)?\n", block.code)]
    assert unnamed == []


@pytest.mark.parametrize("document", python_by_page())
def test_the_examples_have_no_placeholders(document):
    found = [
        f"{block.page.name}:{block.line + node.lineno - 1}"
        for block in python_blocks(document)
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Call | ast.Assign | ast.Return | ast.Expr)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.Constant) and child.value is Ellipsis
    ]
    assert found == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_names_its_language_and_python_has_one_name(document):
    blocks = list(code_blocks(document))
    assert len(re.findall(r"^ *(?:```|~~~)", (DOCS / document).read_text(), re.MULTILINE)) == 2 * len(blocks)
    for block in blocks:
        assert block.language, f"{block} names no language"
        assert block.language.partition(" ")[0].lower() not in OTHER_PYTHON, f"{block} is Python: write ```python"
        if block.language == "text":
            assert not re.search(r"^(from|import|class|def|async def) \w", block.code, re.MULTILINE), str(block)


def test_a_name_that_a_page_does_not_define_is_found():
    code = compile("class A:\n    def f(self):\n        return [missing for x in y]", "page", "exec")
    assert {"missing", "y"} <= set(global_names(code))


def test_executing_a_page_leaves_no_receivers():
    before = list(signals.stream_closed.receivers)
    with restored_state():
        found = page_examples("signals.md")
        assert len(signals.stream_closed.receivers) == len(before) + 1
    assert signals.stream_closed.receivers == before
    assert callable(found["log_end"])
