"""The addresses of the documentation in messages."""

import re
from pathlib import Path

import pytest

from adrf_sse.documentation import SITE, page

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    (path.relative_to(ROOT).as_posix(), name)
    for path in sorted((ROOT / "adrf_sse").rglob("*.py"))
    for name in re.findall(r"""\bpage\(["']([^"']+)["']\)""", path.read_text())
]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(("module", "name"), PAGES)
def test_a_message_refers_to_a_section_that_exists(module, name):
    path, _, section = name.partition("#")
    files = [ROOT / "docs" / f"{path}.md", ROOT / "docs" / path / "index.md"]
    (text,) = (file.read_text() for file in files if file.exists())
    assert not section or section in {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def test_the_modules_with_such_messages_are_found():
    assert len(PAGES) >= 5


def test_the_address_is_that_of_the_site():
    assert f"site_url: {SITE}\n" in (ROOT / "mkdocs.yml").read_text()
    assert page("brokers/redis#acl") == f"{SITE}brokers/redis/#acl"
