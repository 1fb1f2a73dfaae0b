"""Servers of the how-to pages, and terminals that run the commands of a page."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.docs.examples import ROOT, Block, code_blocks
from tests.support.servers import Server, serve

DATABASE = "how-to.sqlite3"
UVICORN = ["-m", "uvicorn", "tests.docs.how_to_asgi:application", "--fd", "{fd}"]


def environment(folder: Path, *pages: str, **more: str) -> dict[str, str]:
    """Return the environment variables of a project that contains the examples of pages."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.docs.how_to_settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "TEST_DATABASE": str(folder / DATABASE),
        "TEST_PAGES": " ".join(pages),
        **more,
    }


@contextmanager
def serve_pages(env: dict[str, str], *arguments: str) -> Iterator[Server]:
    """Serve the examples of pages, with an empty database."""
    command = [sys.executable, "-m", "django", "migrate", "-v0", "--run-syncdb"]
    subprocess.run(command, env=os.environ | env, cwd=ROOT, check=True)
    with serve([*UVICORN, *arguments], env=env, cwd=ROOT) as server:
        yield server


def blocks_of(page: str, language: str) -> list[Block]:
    """Return the examples of a how-to page in a language."""
    return [block for block in code_blocks(f"how-to/{page}.md") if block.language == language]


def set_orders(folder: Path, *items: str) -> None:
    """Replace the orders of the project. Their primary keys begin with 1."""
    with closing(sqlite3.connect(folder / DATABASE, timeout=30)) as database, database:
        database.execute("DELETE FROM orders_order")
        database.execute("DELETE FROM sqlite_sequence WHERE name = 'orders_order'")
        for item in items:
            database.execute("INSERT INTO orders_order (item, status, is_hidden) VALUES (?, 'new', 0)", [item])
