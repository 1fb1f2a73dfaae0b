"""Transactions that publish must not wait for each other in a circle, nor longer than for one another's commits."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError, connections, transaction

from adrf_sse.channels import publish
from tests.channels.test_postgres_transactions import atomic, in_thread, kept

TABLES = """
DROP TABLE IF EXISTS parent, child;
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (parent_id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES (1);
"""
DEFERRED, IMMEDIATE = "INITIALLY DEFERRED", "INITIALLY IMMEDIATE"


def execute(statement):
    with connections["events"].cursor() as cursor:
        cursor.execute(statement)


def waiting(server):
    """Wait until a connection waits for a lock."""
    while not server.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
        pass


def child_and_update(server):
    """Publish and create a child of a parent, while another transaction has locked the parent and publishes too."""

    def create_child():
        with atomic():
            publish("news", "child")
            execute("INSERT INTO child VALUES (1)")

    server.execute(TABLES)
    with ThreadPoolExecutor(1) as threads:
        with atomic():
            execute("SELECT FROM parent WHERE id = 1 FOR UPDATE")
            publish("news", "parent")
            creation = threads.submit(in_thread, create_child)
            waiting(server)  # the deferred check of the foreign key, at the commit
        creation.result()


def test_the_lock_of_publishers_is_taken_after_the_deferred_checks_of_foreign_keys(postgres_broker):
    child_and_update(postgres_broker)
    assert kept(postgres_broker) == ["parent", "child"]


@pytest.fixture
def _one_trigger(postgres_broker):
    """Let the second trigger fire as soon as the first has, so that it might as well not be there."""
    [[definition]] = postgres_broker.execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'adrf_sse_commit' "
        "AND tgrelid = 'adrf_sse_staged'::regclass"
    )
    assert DEFERRED in definition
    drop = "DROP TRIGGER adrf_sse_commit ON adrf_sse_staged"
    postgres_broker.execute(f"{drop}; {definition.replace(DEFERRED, IMMEDIATE)}")
    yield
    postgres_broker.execute(f"{drop}; {definition}")


@pytest.mark.usefixtures("_one_trigger")
def test_without_the_second_trigger_there_would_be_a_deadlock(postgres_broker):
    with pytest.raises(OperationalError, match="deadlock detected"):
        child_and_update(postgres_broker)


def test_two_transactions_that_publish_and_lock_rows_in_the_same_order_both_commit(postgres_broker):
    postgres_broker.execute(TABLES)
    postgres_broker.execute("INSERT INTO parent SELECT generate_series(2, 5)")

    def write(number):
        for _ in range(20):
            with atomic():
                publish("news", number)
                execute(f"INSERT INTO child VALUES ({number})")
                execute("SELECT FROM parent ORDER BY id FOR UPDATE")
                publish("news", number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: in_thread(write, number), range(1, 5)))
    assert len(kept(postgres_broker)) == 160


def test_a_transaction_that_has_published_blocks_no_publisher_until_it_commits(postgres_broker):
    with atomic():
        for number in range(50):
            publish("news", number)
        with psycopg.connect(**postgres_broker.parameters, autocommit=True) as other:
            other.execute("SET lock_timeout = 1")
            for _ in range(300):  # about three of them trim
                other.execute("SELECT adrf_sse_publish('news', 'x', 10, 86400000000)")
            with other.transaction():
                other.execute("SELECT adrf_sse_stage('news', 'x', 10, 86400000000)")
        transaction.set_rollback(True, "events")


def test_a_transaction_that_trims_blocks_no_publisher(postgres_broker):
    with atomic():
        for number in range(50):
            publish("news", number)
    with atomic():
        publish("other", "keeps its transaction open")
        execute("SELECT adrf_sse_trim('news', 10, 86400000000, 1000)")
        with psycopg.connect(**postgres_broker.parameters, autocommit=True) as other:
            other.execute("SET lock_timeout = 1")
            other.execute("SELECT adrf_sse_publish('news', 'x', 10, 86400000000)")
            with other.transaction():
                other.execute("SELECT adrf_sse_stage('news', 'x', 10, 86400000000)")
            assert other.execute("SELECT adrf_sse_trim('news', 10, 86400000000, 1000)").fetchone() == (0,)
