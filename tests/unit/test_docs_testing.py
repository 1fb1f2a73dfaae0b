"""The examples of ``docs/testing.md``, as a reader copies them to an empty project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))}
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-m", *command], cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def project(tmp_path):
    """Create a project as the page says, from the page's files."""
    run(tmp_path, "django", "startproject", "mysite", ".")
    settings = tmp_path / "mysite" / "settings.py"
    code = settings.read_text()
    settings.write_text(
        code.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "rest_framework",\n    "adrf_sse",')
    )
    for name, content in FILE.findall((ROOT / "docs" / "testing.md").read_text()):
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.timeout(300)
def test_the_first_example_passes_in_an_empty_project_without_pytest_asyncio(project):
    done = run(project, "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error", "test_members.py")
    assert "2 passed" in done.stdout


@pytest.mark.timeout(300)
def test_the_asynchronous_example_passes_in_an_empty_project(project):
    done = run(project, "pytest", "-p", "no:cacheprovider", "test_members_async.py")
    assert "1 passed" in done.stdout
