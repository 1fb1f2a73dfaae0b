"""Node, and the pinned clients of ``tests/protocols/package.json``."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.programs import missing

CLIENTS = Path(__file__).resolve().parents[1] / "protocols"
MODULES = CLIENTS / "node_modules"
TIMEOUT = 300
"""Seconds that an installation, or the clients of one protocol, may take. They need far less."""


def require_node() -> None:
    """Install the clients if they are not, or were other versions. Skip the test without Node; ``.ci/run`` fails it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("Node is not installed: apt install nodejs npm")
    wanted, stamp = (CLIENTS / "package-lock.json").read_text(), MODULES / ".installed"
    with (CLIENTS / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if stamp.exists() and stamp.read_text() == wanted:
            return
        npm = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=CLIENTS, capture_output=True, text=True, timeout=TIMEOUT,
        )  # fmt: skip
        if npm.returncode:
            missing(f"'npm ci' in tests/protocols has failed:\n{npm.stdout}{npm.stderr}")
        stamp.write_text(wanted)


def run_client(name: str, url: str) -> Any:
    """Run ``clients/<name>.mjs`` with the URL of the server, and return what its scenarios have seen, by name."""
    require_node()
    command = ["node", f"clients/{name}.mjs", url]
    node = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=TIMEOUT)
    assert node.returncode == 0, f"{node.stdout}\n{node.stderr}"
    return json.loads(node.stdout)
