"""How much room PostgreSQL's tables take while events are published and trimmed: ``python -m benchmarks.bloat``."""

import argparse
import os
import random
import threading
import time
from typing import Any

import psycopg

WRITE = """
DO $$
DECLARE
    body bytea := convert_to(repeat('x', {size}), 'UTF8');
BEGIN
    FOR number IN 1..{events} LOOP
        IF number % 2 = 0 THEN
            PERFORM adrf_sse_publish('channel.' || floor(random() * {channels}), body, {history}, 86400000000);
        ELSE
            PERFORM adrf_sse_stage('channel.' || floor(random() * {channels}), body, {history}, 86400000000);
        END IF;
        COMMIT;
    END LOOP;
END $$
"""
"""Publishes events, every other one in a transaction."""

SIZES = """
SELECT
    (SELECT count(*) FROM adrf_sse_event),
    pg_relation_size('adrf_sse_event'), pg_indexes_size('adrf_sse_event'),
    pg_total_relation_size('adrf_sse_staged'),
    pg_total_relation_size('adrf_sse_channel') + pg_total_relation_size('adrf_sse_state'),
    (SELECT coalesce(sum(autovacuum_count), 0) FROM pg_stat_user_tables WHERE relname = 'adrf_sse_event')
"""

HEADER = "| published | seconds | events kept | events MB | their indexes MB | staged MB | marks MB | vacuumed |"


def main() -> None:
    """Publish, and print the sizes a number of times."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
    import django

    django.setup()
    from django.conf import settings

    from tests.support.postgres_server import cluster, use_postgres

    options = arguments()
    with cluster(max_connections=20) as server:
        use_postgres(settings, server)
        print(f"{HEADER}\n|{' ---: |' * 8}")
        started = time.monotonic()
        for row in range(1, options.rows + 1):
            publish(server.parameters, options)
            [[kept, *sizes, vacuumed]] = server.execute(SIZES)
            cells = [row * options.events // options.rows, round(time.monotonic() - started), kept]
            megabytes = [f"{size / 1e6:.1f}" for size in sizes]
            print(f"| {' | '.join(map(str, [*cells, *megabytes, vacuumed]))} |", flush=True)


def arguments() -> argparse.Namespace:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events in all")
    parser.add_argument("--rows", type=int, default=20, help="rows of the table")
    parser.add_argument("--channels", type=int, default=100)
    parser.add_argument("--history", type=int, default=1000, help="CHANNEL_HISTORY")
    parser.add_argument("--size", type=int, default=200, help="bytes of an event")
    parser.add_argument("--rate", type=int, default=2000, help="events a second at most")
    parser.add_argument("--writers", type=int, default=2)
    return parser.parse_args()


def publish(parameters: dict[str, Any], options: argparse.Namespace) -> None:
    """Publish the events of one row of the table."""
    events = options.events // options.rows // options.writers
    writers = [threading.Thread(target=write, args=(parameters, options, events)) for _ in range(options.writers)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def write(parameters: dict[str, Any], options: argparse.Namespace, events: int) -> None:
    """Publish events at a writer's share of the rate."""
    portion = 100
    with psycopg.connect(**parameters, autocommit=True) as connection:
        due = time.monotonic() + random.random() * portion * options.writers / options.rate
        for _ in range(events // portion):
            time.sleep(max(0, due - time.monotonic()))
            due += portion * options.writers / options.rate
            statement = WRITE.format(
                size=options.size, events=portion, channels=options.channels, history=options.history
            )
            connection.execute(statement)


if __name__ == "__main__":
    main()
