"""Tests of the pages about deployment: settings, sums, YAML files and the options of servers."""

import re
import subprocess
import sys

import pytest
import yaml
from django.test import RequestFactory

from adrf_sse.settings import validated
from tests.docs.examples import DOCS, code_blocks, examples
from tests.support.proxies import PROXIES, documented

PAGES = ["deployment.md", "scaling.md", *(f"deployment/{page.name}" for page in (DOCS / "deployment").glob("*.md"))]
YAML = [block for page in PAGES for block in code_blocks(page) if block.language == "yaml"]
COMMANDS = [block.code for block in code_blocks("deployment/servers.md") if block.language == "console"]
SERVERS = [line.removeprefix("$ ") for code in COMMANDS for line in code.splitlines() if ".asgi:application" in line]
HEADER, RULE = 0, 1
"""The lines of a table before its rows."""


def manifest(name):
    return next(yaml.safe_load(block.code) for block in YAML if block.code.startswith(f"# {name}\n"))


def test_kubernetes_waits_for_longer_than_runs_may_go_on():
    found = examples("deployment/kubernetes.md")
    values, problems = validated(found["ADRF_SSE"])
    assert problems == []
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = container["command"]
    patience = int(command[command.index("--timeout-graceful-shutdown") + 1])
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + values["RUN_GRACE"] + patience
    (route,) = found["urlpatterns"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/{route.pattern}"
    assert found["health"](RequestFactory().get("/health/")).status_code == 200


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_valid_and_names_its_file(block):
    assert yaml.safe_load(block.code)
    assert re.match(r"# [\w.]+\n", block.code)


@pytest.mark.parametrize("name", PROXIES)
def test_configurations_name_their_file(name):
    assert documented(name).startswith("# /etc/")


def test_the_table_of_sums_is_that_of_the_function():
    found = examples("scaling.md")
    assert validated(found["ADRF_SSE"])[1] == []
    text = (DOCS / "scaling.md").read_text()
    table = text[text.index("| | 10,000 |") :].partition("\n\n")[0].splitlines()
    columns = [int(cell.replace(",", "")) for cell in cells(table[HEADER])[1:]]
    assert columns == [10_000, 100_000, 1_000_000]
    rows = {name: written for name, *written in map(cells, table[RULE + 1 :])}
    for number, streams in enumerate(columns):
        calculated = found["sums"](streams)
        assert list(rows) == list(calculated)
        for name, value in calculated.items():
            written = rows[name][number]
            decimals = len(written.partition(".")[2])
            assert written == f"{value:,.{decimals}f}", (name, streams)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("command", SERVERS, ids=lambda command: command.partition(" ")[0])
def test_servers_have_the_options(command):
    server, *arguments = command.split()
    options = [argument for argument in arguments if argument.startswith("--")]
    shown = subprocess.run([sys.executable, "-m", server, "--help"], capture_output=True, text=True, check=True).stdout
    assert [option for option in options if not re.search(rf"{option}\b", shown)] == []
