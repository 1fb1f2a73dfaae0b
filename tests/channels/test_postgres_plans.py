"""PostgreSQL must not compile the broker's queries, which takes a hundred times as long as their execution.

It compiles queries whose estimated costs are high: because a table was never analyzed, or a kind of scan is disabled.
"""

import psycopg
import pytest

from adrf_sse.brokers.postgres.database import Database
from adrf_sse.brokers.postgres.link import Link
from adrf_sse.brokers.postgres.queries import EVENTS, PAGE, POSITION

HISTORY, DAY = 1000, 86_400_000_000
EXPLAIN = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET client_min_messages = log;
"""
FORGET = """
DELETE FROM pg_statistic WHERE starelid::regclass::text LIKE 'adrf_sse%';
UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname LIKE 'adrf_sse%' AND relkind = 'r';
"""
"""Makes the tables as they are before PostgreSQL analyzes them for the first time."""


@pytest.fixture
def explained(postgres_broker):
    """A connection, and the plans of all that it executes."""
    plans = []
    with psycopg.connect(**postgres_broker.parameters, autocommit=True) as connection:
        connection.execute(EXPLAIN)
        connection.add_notice_handler(lambda notice: plans.append(notice.message_primary))
        yield connection, plans


@pytest.fixture(params=["ANALYZE adrf_sse_event, adrf_sse_channel, adrf_sse_state, adrf_sse_staged", FORGET])
def _statistics(request, postgres_broker):
    postgres_broker.execute(request.param)


@pytest.mark.usefixtures("_statistics")
def test_no_statement_of_a_publisher_is_compiled(explained):
    connection, plans = explained
    for _ in range(8):  # after the fifth, PostgreSQL may choose a generic plan
        with connection.transaction():
            for _ in range(3):
                connection.execute("SELECT adrf_sse_stage('news', 'x', %s, %s)", [HISTORY, DAY])
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            connection.execute("SELECT adrf_sse_stage('news', 'x', %s, %s)", [HISTORY, DAY])
        # Last, because the plans of the functions that it calls would be kept.
        connection.execute("SELECT adrf_sse_publish('news', 'x', %s, %s)", [HISTORY, DAY])
        connection.execute("SELECT adrf_sse_trim('news', 2, 1000, 10)")
        connection.execute(POSITION)
    assert any("adrf_sse_staged" in plan for plan in plans), "nested statements are not explained"
    compiled = [plan for plan in plans if "JIT:" in plan]
    assert not compiled, compiled[0]


@pytest.mark.usefixtures("_statistics")
async def test_no_statement_of_a_listener_is_compiled():
    names = [f"channel.{number}" for number in range(100)]
    parameters = {
        "after": 0,
        "limit": 1000,
        "ttl": DAY,
        "history": HISTORY,
        "names": names,
        "whole": [False] * len(names),
        "bytes": 256 * 1024,
    }
    link = Link(Database("events", None), listens=True)
    for _ in range(8):  # after the fifth, psycopg prepares the statement, and PostgreSQL may choose a generic plan
        for query, values in ((PAGE, parameters), (EVENTS, [[1, 2, 3], 1000]), (POSITION, ())):
            plan = await link.execute("explain", f"EXPLAIN (ANALYZE) {query}", values)
            assert not any("JIT:" in line for [line] in plan), plan
