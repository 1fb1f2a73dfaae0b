"""The Python examples of the documentation."""

import builtins
import dis
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
MYSITE = re.compile(r"^from (mysite(?:\.\w+)*) import ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    """The number of the line of the page where the code starts."""
    language: str
    """What follows the backticks of the block, such as ``python``."""
    code: str
    """The code without the indentation of the block's backticks."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def code_blocks(document: str) -> Iterator[Block]:
    """Return all blocks of a page. The path of the page is relative to ``docs``."""
    page = (DOCS / document).resolve()
    return blocks_of(page.read_text(), page)


def blocks_of(text: str, page: Path = ROOT) -> Iterator[Block]:
    """Return all blocks of a text, which is that of a page."""
    for match in FENCE.finditer(text):
        code = textwrap.dedent(match["code"]) if match["indent"] else match["code"]
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(page=page, line=line, language=match["language"].strip(), code=code)


def python_blocks(document: str) -> list[Block]:
    """Return the Python examples of a page."""
    return [block for block in code_blocks(document) if block.language.partition(" ")[0] == "python"]


def run_block(block: Block, namespace: dict[str, Any]) -> CodeType:
    """Run an example, and return its code. Tracebacks name the page and the line."""
    code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
    exec(code, namespace)
    return code


def global_names(code: CodeType) -> Iterator[str]:
    """Return the names that the functions of some code take from its module."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from global_names(constant)


def check_names(block: Block, code: CodeType, namespace: dict[str, Any]) -> None:
    """Fail if the functions of an example use a name that its module does not define."""
    missing = set(global_names(code)) - set(namespace) - set(vars(builtins))
    assert not missing, f"{block} uses names that the page does not define: {sorted(missing)}"


@contextmanager
def modules_of(blocks: list[Block], module: ModuleType) -> Iterator[None]:
    """Let the examples of a page import from each other, as from modules of the package ``mysite``."""
    paths = {"mysite", *(path for block in blocks for path in MYSITE.findall(block.code))}
    before = {path: sys.modules[path] for path in paths if path in sys.modules}
    sys.modules.update(dict.fromkeys(paths, module))
    try:
        yield
    finally:
        for path in paths:
            del sys.modules[path]
        sys.modules.update(before)


def examples(document: str, **names: Any) -> dict[str, Any]:
    """Run the Python examples of a page in order, and return the names that they define.

    The path of the page is relative to ``docs``. The examples run in one module, from which they can also import as
    ``mysite`` and as its modules. They may use ``names``, which stand in for what a reader's project defines. Fails if
    a function uses a name that neither the page nor ``names`` define.
    """
    blocks = python_blocks(document)
    assert blocks, f"{document} has no Python examples"
    module = ModuleType(document)
    namespace = vars(module)
    namespace.update(names)
    with modules_of(blocks, module):
        codes = [(block, run_block(block, namespace)) for block in blocks]
    for block, code in codes:
        check_names(block, code, namespace)
    return namespace
