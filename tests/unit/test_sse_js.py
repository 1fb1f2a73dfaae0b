"""Tests that ``sse.js``, its types and its documentation list the same names."""

import re
import subprocess
from pathlib import Path

import pytest

import adrf_sse
from adrf_sse.events import END_ID
from tests.support.node import MODULES, require_node

ROOT = Path(__file__).resolve().parents[2]
STATIC = Path(adrf_sse.__file__).parent / "static/adrf_sse"
SCRIPT, TYPES = (STATIC / "sse.js").read_text(), (STATIC / "sse.d.ts").read_text()
DOCUMENT = (ROOT / "docs/browser.md").read_text()
STRICT = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom,dom.iterable,dom.asynciterable"]
PROGRAM = """
import { open, RefusedError, type EventStream, type StreamEvent } from "./sse.js";
const stream: EventStream = open("/chat/", { body: { prompt: "?" }, signal: new AbortController().signal });
stream.addEventListener("token", (event: StreamEvent) => event.json<{ text: string }>().text);
stream.onerror = (event) => { if (!("data" in event)) console.log(event.delay ?? event.error?.message); };
try {
    for await (const { type, data, id, lastEventId } of stream) console.log(type + data + (id ?? lastEventId));
} catch (error) {
    if (error instanceof RefusedError) console.log(error.status + 1, error.body.detail);
}
// @ts-expect-error
open("/", { mehtod: "POST" });
"""


def options_in(text: str, pattern: str) -> list[str]:
    return sorted(re.findall(pattern, text, re.MULTILINE))


def test_the_script_its_types_and_the_documentation_list_the_same_options() -> None:
    options = re.search(r"^const OPTIONS = \[(.*?)^\];", SCRIPT, re.DOTALL | re.MULTILINE)
    types = re.search(r"^export interface StreamOptions \{(.*?)^\}", TYPES, re.DOTALL | re.MULTILINE)
    table = DOCUMENT.partition("### Options")[2].partition("###")[0]
    assert options
    assert types
    names = options_in(options[1], r'"(\w+)"')
    assert names == options_in(types[1], r"^  (\w+)\?:")
    assert names == options_in(table, r"^\| `(\w+)` \|")
    assert names == options_in(SCRIPT, r"^ \* @property \{.*\} \[(\w+)\]")


def test_the_script_exports_what_its_types_declare() -> None:
    pattern = r"^export (?:class|const|function) (\w+)"
    assert options_in(SCRIPT, pattern) == options_in(TYPES, pattern)


def test_the_script_knows_the_id_of_the_end() -> None:
    assert f'export const END_ID = "{END_ID}";' in SCRIPT
    assert f'export const END_ID: "{END_ID}";' in TYPES


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_typescript_accepts_the_script_and_its_types(tmp_path: Path) -> None:
    require_node()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "script.js").write_text(SCRIPT)
    (tmp_path / "sse.d.ts").write_text(TYPES)
    (tmp_path / "program.ts").write_text(PROGRAM)
    for arguments in (["--allowJs", "--checkJs", "script.js"], ["--module", "nodenext", "program.ts", "sse.d.ts"]):
        result = subprocess.run(
            [MODULES / ".bin" / "tsc", *STRICT, *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout
