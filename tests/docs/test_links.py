"""The links of the documentation to files of the repository. MkDocs checks those between its pages."""

import re
from urllib.parse import unquote

import pytest

from tests.docs.examples import DOCS, ROOT
from tests.docs.test_examples import DOCUMENTS

FILES = re.compile(r"https://github\.com/adrf-sse/adrf-sse/(?:blob|tree)/main/([^\s)>#\"']+)")
RELATIVE = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")
SITE = re.compile(r"https://adrf-sse\.readthedocs\.io/en/stable/([^\s)>\"'`]*)")


@pytest.mark.parametrize("document", [*DOCUMENTS, "../CHANGELOG.md", "../SECURITY.md"])
def test_links_to_files_of_the_repository_lead_to_a_file(document):
    page = (DOCS / document).resolve()
    text = page.read_text()
    missing = [path for path in FILES.findall(text) if not (ROOT / unquote(path)).exists()]
    if not page.is_relative_to(DOCS):
        missing += [path for path in RELATIVE.findall(text) if not (page.parent / unquote(path)).exists()]
    assert missing == []


@pytest.mark.parametrize("document", [*DOCUMENTS, "../CHANGELOG.md", "../SECURITY.md"])
def test_links_to_the_site_lead_to_a_page(document):
    paths = [path.partition("#")[0].strip("/") for path in SITE.findall((DOCS / document).read_text())]
    assert [path for path in paths if path and not page_exists(path)] == []


def page_exists(path: str) -> bool:
    return any((DOCS / name).exists() for name in (path, f"{path}.md", f"{path}/index.md"))


def test_a_link_to_a_missing_file_is_found():
    link = "https://github.com/adrf-sse/adrf-sse/blob/main/missing.py#L1"
    assert FILES.findall(f"[a]({link})") == ["missing.py"]
    assert not page_exists("missing")


def test_pages_of_the_site_request_nothing_from_other_sites():
    configuration = (ROOT / "mkdocs.yml").read_text()
    assert re.search(r"^  font: false\b", configuration, re.MULTILINE), "The theme would load fonts from Google"
    assert re.search(r"^  custom_dir: docs/theme$", configuration, re.MULTILINE)
    source = (DOCS / "theme" / "partials" / "source.html").read_text()
    assert "data-md-component" not in source, "The theme would ask api.github.com for the number of stars"
