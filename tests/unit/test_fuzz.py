"""The fuzz of ``benchmarks`` finds errors, repeats them and makes them smaller; its reference is right."""

import re
from dataclasses import replace

import pytest

from benchmarks.fuzz import channels, configuration, encoding, parsing
from benchmarks.fuzz.kinds import Kind, expect, random_of, report, run, shown
from benchmarks.fuzz.reference import interpret, json_lines
from tests.unit.test_parsers import STREAMS

KINDS = [*encoding.KINDS, *parsing.KINDS, *configuration.KINDS, *channels.KINDS]


@pytest.mark.parametrize(("body", "events"), STREAMS, ids=[repr(body) for body, _ in STREAMS])
def test_the_reference_follows_the_examples_of_the_specification(body, events):
    assert interpret(body).events == [(event.event or "message", event.data, event.id or "") for event in events]


def test_the_reference_refuses_lines_that_a_reader_would_break():
    assert json_lines(b'{"a": 1}\n2\n') == [{"a": 1}, 2]
    for damaged in (b"1", b"1\n\n", '"\u2028"\n'.encode(), b'"a\n"\n'):
        with pytest.raises(ValueError, match=r"."):
            json_lines(damaged)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_short_run_finds_nothing(kind):
    outcome = run(kind, "test", range(200))
    assert outcome.cases == 200
    assert [report(failure, kind.name, "test") for failure in outcome.failures.values()] == []


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_seed_repeats_a_case(kind):
    for number in range(20):
        first, second = (kind.make(random_of("test", kind.name, number)) for _ in range(2))
        assert _shown(first) == _shown(second)


def test_a_parser_that_is_wrong_is_found(monkeypatch):
    interpret_field = parsing.EventParser._field

    def field(self, line):
        interpret_field(self, line.replace("id:", "ID:"))

    monkeypatch.setattr(parsing.EventParser, "_field", field)
    assert run(parsing.KINDS[0], "test", range(200)).failures


def test_a_failing_case_is_made_smaller_and_reported_once_with_its_seed():
    def check(text):
        expect("x" not in text, "an x:", text)

    kind = Kind("letters", 1, lambda random: "".join(random.choices("abxyz", k=30)), check)
    outcome = run(kind, "s", range(50))
    [failure] = outcome.failures.values()
    assert failure.case == "x"
    assert failure.times > 1
    assert f"--only letters --seed s --case {failure.number}\n" in report(failure, kind.name, "s")
    assert run(replace(kind, check=len), "s", range(50)).failures == {}


def _shown(case):
    """Return what a case looks like, without the addresses of objects."""
    return re.sub(r"0x[0-9a-f]+", "", shown(case))
