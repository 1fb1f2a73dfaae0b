"""The suites ``publishing`` and ``fanout`` of ``benchmarks`` measure the PostgreSQL broker beside others."""

from dataclasses import replace

import pytest

from benchmarks.contenders import FANOUT, OVER_POSTGRES, OVER_REDIS, PLAIN, PUBLISHING
from benchmarks.results import Report, Results
from benchmarks.rounds import play
from benchmarks.suites.fanout import FANOUT_SUITE, lone
from benchmarks.suites.publishing import PUBLISHING_SUITE, publishing
from benchmarks.suites.suite import TIMES, Sitting
from benchmarks.table import markdown
from tests.support.postgres_server import programs


def test_the_tables_compare_with_a_plain_insert():
    figures = {PLAIN: {"alone": 2000.0}, OVER_POSTGRES: {"alone": 1500.0}, OVER_REDIS: {"alone": 4000.0}}
    reports = {name: Report(of) for name, of in figures.items()}
    page = markdown(PUBLISHING_SUITE, Results(PUBLISHING, PUBLISHING_SUITE.quick, [reports]))
    assert "| INSERT | 2,000 |" in page
    assert f"| adrf_sse, PostgreSQL | 1,500 (0.75{TIMES}) |" in page
    assert f"| adrf_sse, Redis | 4,000 (2.00{TIMES}) |" in page
    assert "in brackets the median ratio to INSERT of the same run" in page


@pytest.mark.parametrize("key", ["many_paced_lost", "crowd_burst_disordered"])
def test_the_command_fails_if_a_broker_loses_an_event_or_repeats_one(key):
    def failures(name, share):
        reports = {one.name: Report({key: share} if one.name == name else {}) for one in FANOUT}
        return FANOUT_SUITE.failures(Results(FANOUT, FANOUT_SUITE.quick, [reports]))

    assert failures(OVER_POSTGRES, 0.0) == []
    assert failures("django-eventstream", 0.5) == []
    [failure] = failures(OVER_POSTGRES, 0.5)
    assert failure.startswith(f"{OVER_POSTGRES}, ")


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_writers_write_and_publish_until_their_time_is_over():
    programs()
    suite = replace(PUBLISHING_SUITE, sittings=(Sitting((publishing,), only=(OVER_POSTGRES,)),))
    report = play(suite, [OVER_POSTGRES], 1, replace(suite.quick, seconds=0.05)).rounds[0][OVER_POSTGRES]
    assert report.problems == {}
    assert report.figures.keys() == {column.key for column in suite.tables[0].columns}
    assert min(report.figures.values()) > 0


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_a_lone_event_is_measured_with_its_parts():
    programs()
    suite = replace(FANOUT_SUITE, sittings=(Sitting((lone,), only=(OVER_POSTGRES,)),))
    report = play(suite, [OVER_POSTGRES], 1, suite.quick).rounds[0][OVER_POSTGRES]
    assert report.problems == {}
    assert report.figures.keys() == {"lone", "published", "round_trip", "committed"}
