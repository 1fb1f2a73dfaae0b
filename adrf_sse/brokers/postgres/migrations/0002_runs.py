"""The table and functions of runs.

Each operation is one call of a function. It locks the run's row first, and takes the lock of publishers as the last
one, so that no operations wait for each other.

The events of a run are those of its channel after ``dropped`` of ``adrf_sse_channel``, the last ID before the run was
created. So the events of a former run with the same ID are hidden at once. They are deleted together with its row,
which is marked as removed until then. All deletions are made by ``adrf_sse_trim_runs()``.
"""

from django.db import migrations

from adrf_sse.brokers.postgres.operations import PostgresSQL

TABLES = """
CREATE TABLE adrf_sse_run (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    key text COLLATE "C" UNIQUE,
    is_removed boolean NOT NULL DEFAULT false,
    status text NOT NULL,
    owner text,
    starter text NOT NULL,
    producer text,
    events bigint NOT NULL DEFAULT 0,
    last bigint NOT NULL DEFAULT 0,
    started bigint,
    ended bigint,
    lease bigint NOT NULL,
    ttl bigint NOT NULL,
    expires bigint,
    statuses text[] NOT NULL,
    endings bytea[] NOT NULL
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);
-- No index contains what most writes change, so that they need no new index entries.
CREATE UNIQUE INDEX adrf_sse_run_id ON adrf_sse_run (id) WHERE NOT is_removed;
CREATE INDEX adrf_sse_run_expires ON adrf_sse_run (expires);
COMMENT ON COLUMN adrf_sse_run.key IS 'Names the request that has started it';
COMMENT ON COLUMN adrf_sse_run.is_removed IS 'Whether it is unknown from now on, and only its events are still there';
COMMENT ON COLUMN adrf_sse_run.events IS 'Its events so far, without those that report its end';
COMMENT ON COLUMN adrf_sse_run.last IS 'The ID of its last event';
COMMENT ON COLUMN adrf_sse_run.lease IS 'When it is lost, in microseconds since 1970, unless the lease is renewed';
COMMENT ON COLUMN adrf_sse_run.ttl IS 'Microseconds after the lease when it expires if nothing has noticed the loss';
COMMENT ON COLUMN adrf_sse_run.expires IS 'When it expires, NULL while it is active';
COMMENT ON COLUMN adrf_sse_run.endings IS 'The last events for each status, which is at the same place in statuses';
"""

COMMON = """
-- Publish events of a run, and store what has changed.
CREATE FUNCTION adrf_sse_run_save(run adrf_sse_run, bodies bytea[]) RETURNS adrf_sse_run LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    channel text := 'adrf-sse.run:' || run.id;
    total bigint := cardinality(bodies);
    first bigint;
BEGIN
    IF total > 0 THEN
        first := adrf_sse_next_id();
        INSERT INTO adrf_sse_event
        SELECT first - 1 + place, channel, body FROM unnest(bodies) WITH ORDINALITY AS given (body, place);
        PERFORM adrf_sse_notify(first, total, channel || '*' || total);
        run.last := first + total - 1;
    END IF;
    UPDATE adrf_sse_run SET
        key = run.key, is_removed = run.is_removed, status = run.status, producer = run.producer, events = run.events,
        last = run.last, started = run.started, ended = run.ended, lease = run.lease, ttl = run.ttl,
        expires = run.expires
    WHERE number = run.number;
    RETURN run;
END $$;

-- End a run: publish its last events, and those that report its end.
CREATE FUNCTION adrf_sse_run_finish(run adrf_sse_run, status text, ttl bigint, bodies bytea[], errors bytea[])
RETURNS adrf_sse_run LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    prepared bytea[] := ARRAY(
        SELECT body FROM unnest(run.statuses, run.endings) WITH ORDINALITY AS ending (way, body, place)
        WHERE way = status ORDER BY place
    );
BEGIN
    IF errors IS NOT NULL THEN
        prepared := array_append(errors, prepared[cardinality(prepared)]);
    END IF;
    run.status := status;
    run.ended := adrf_sse_now();
    run.lease := 0;
    run.expires := run.ended + ttl;
    RETURN adrf_sse_run_save(run, bodies || prepared);
END $$;

-- Lock a run, and return it, or NULL if it is unknown. If its lease has passed, it is lost.
CREATE FUNCTION adrf_sse_run_look(run_id text, ttl bigint, OUT run adrf_sse_run, OUT was_lost boolean) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
BEGIN
    SELECT * INTO run FROM adrf_sse_run AS kept
    WHERE kept.id = run_id AND NOT kept.is_removed AND coalesce(kept.expires, kept.lease + kept.ttl) > adrf_sse_now()
    FOR UPDATE;
    was_lost := run.expires IS NULL AND run.lease <= adrf_sse_now();
    IF was_lost THEN
        run := adrf_sse_run_finish(run, 'lost', ttl, '{}', NULL);
    END IF;
END $$;
"""

OPERATIONS = """
-- Create a run, in place of one that has ended. Returns the run that now exists, and why. If that is NULL, the caller
-- must call again: a run was lost, or somebody else has created one at the same time.
CREATE FUNCTION adrf_sse_run_create(
    run_id text, ttl bigint, request text, owner text, starter text, is_queued boolean, duration bigint,
    statuses text[], endings bytea[], OUT run adrf_sse_run, OUT was_lost boolean, OUT done text
) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    present bigint := adrf_sse_now();
    repeated text;
    seen record;
BEGIN
    -- Both rows, in the order in which everybody locks them.
    PERFORM FROM adrf_sse_run WHERE key = request OR (id = run_id AND NOT is_removed) ORDER BY number FOR UPDATE;
    SELECT id INTO repeated FROM adrf_sse_run WHERE key = request;
    IF found THEN
        seen := adrf_sse_run_look(repeated, ttl);
        run := seen.run;
        IF run.id IS NOT NULL THEN
            was_lost := seen.was_lost;
            done := 'repeated';
            RETURN;
        END IF;
        UPDATE adrf_sse_run AS kept SET key = NULL
        WHERE kept.key = request AND coalesce(kept.expires, kept.lease + kept.ttl) <= present;
    END IF;
    seen := adrf_sse_run_look(run_id, ttl);
    run := seen.run;
    was_lost := seen.was_lost;
    IF was_lost THEN
        RETURN;
    ELSIF run.id IS NOT NULL AND run.owner IS DISTINCT FROM owner THEN
        done := 'foreign';
        RETURN;
    ELSIF run.id IS NOT NULL AND run.expires IS NULL THEN
        done := 'active';
        RETURN;
    END IF;
    -- Not any run with the ID: somebody else may have created one meanwhile.
    UPDATE adrf_sse_run AS kept SET key = NULL, is_removed = true, expires = present
    WHERE kept.id = run_id AND NOT kept.is_removed
        AND (kept.number = run.number OR coalesce(kept.expires, kept.lease + kept.ttl) <= present);
    INSERT INTO adrf_sse_run AS new (id, key, status, owner, starter, producer, started, lease, ttl, statuses, endings)
    SELECT run_id, request, status, owner, starter, producer, started, present + duration, ttl, statuses, endings
    FROM (VALUES ('queued', NULL, NULL::bigint, true), ('running', starter, present, false))
        AS states (status, producer, started, waits)
    WHERE waits = is_queued
    ON CONFLICT DO NOTHING RETURNING * INTO run;
    IF found THEN
        INSERT INTO adrf_sse_channel SELECT 'adrf-sse.run:' || run_id, last_value FROM adrf_sse_id
        ON CONFLICT (name) DO UPDATE SET dropped = excluded.dropped;
        PERFORM adrf_sse_trim_runs(10000);
        done := 'new';
    END IF;
END $$;

-- Begin to produce a queued run. Returns the run, and whether it was queued.
CREATE FUNCTION adrf_sse_run_claim(
    run_id text, ttl bigint, producer text, duration bigint,
    OUT run adrf_sse_run, OUT was_lost boolean, OUT done boolean
) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    seen record := adrf_sse_run_look(run_id, ttl);
BEGIN
    run := seen.run;
    was_lost := seen.was_lost;
    done := run.status = 'queued';
    IF done THEN
        run.status := 'running';
        run.producer := producer;
        run.started := adrf_sse_now();
        run.lease := run.started + duration;
        run.ttl := ttl;
        run := adrf_sse_run_save(run, '{}');
    END IF;
END $$;

-- Add events, renew the lease, and perhaps end the run. Returns the run, and whether it was written. A write that
-- arrives again, however late, adds nothing. If the database has come back without some of the events before, the run
-- is lost.
CREATE FUNCTION adrf_sse_run_write(
    run_id text, ttl bigint, producer text, duration bigint, after bigint, status text, bodies bytea[], errors bytea[],
    OUT run adrf_sse_run, OUT was_lost boolean, OUT done boolean
) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    seen record := adrf_sse_run_look(run_id, ttl);
BEGIN
    run := seen.run;
    was_lost := seen.was_lost;
    done := false;
    IF run.expires IS NOT NULL OR run.id IS NULL THEN
        RETURN;
    ELSIF run.producer IS DISTINCT FROM producer THEN
        run.status := 'lost';  -- for the caller
        run.lease := 0;
        RETURN;
    ELSIF run.events < after THEN
        run := adrf_sse_run_finish(run, 'lost', ttl, '{}', NULL);
        RETURN;
    ELSIF run.events > after THEN
        bodies := '{}';
    END IF;
    done := true;
    run.events := run.events + cardinality(bodies);
    IF status = 'running' THEN
        run.lease := adrf_sse_now() + duration;
        run.ttl := ttl;
        run := adrf_sse_run_save(run, bodies);
    ELSE
        run := adrf_sse_run_finish(run, status, ttl, bodies, errors);
    END IF;
END $$;

-- End an active run. Returns the run, and whether it was active.
CREATE FUNCTION adrf_sse_run_end(
    run_id text, ttl bigint, status text, OUT run adrf_sse_run, OUT was_lost boolean, OUT done boolean
) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    seen record := adrf_sse_run_look(run_id, ttl);
BEGIN
    run := seen.run;
    was_lost := seen.was_lost;
    done := run.id IS NOT NULL AND run.expires IS NULL;
    IF done THEN
        run := adrf_sse_run_finish(run, status, ttl, '{}', NULL);
    END IF;
END $$;

-- Return a run, and whether it has an event. The run is locked only if its lease has passed.
CREATE FUNCTION adrf_sse_run_read(
    run_id text, ttl bigint, event bigint, OUT run adrf_sse_run, OUT was_lost boolean, OUT done boolean
) LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    present bigint := adrf_sse_now();
    seen record;
BEGIN
    SELECT * INTO run FROM adrf_sse_run AS kept
    WHERE kept.id = run_id AND NOT kept.is_removed AND coalesce(kept.expires, kept.lease + kept.ttl) > present;
    IF run.expires IS NULL AND run.lease <= present THEN
        seen := adrf_sse_run_look(run_id, ttl);
        run := seen.run;
        was_lost := seen.was_lost;
    END IF;
    done := EXISTS (
        SELECT FROM adrf_sse_event JOIN adrf_sse_channel ON name = channel
        WHERE adrf_sse_event.id = event AND name = 'adrf-sse.run:' || run_id AND event > dropped
    );
END $$;

-- End a run as failed, and remove it.
CREATE FUNCTION adrf_sse_run_discard(run_id text, ttl bigint, starter text) RETURNS void LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    run adrf_sse_run;
BEGIN
    SELECT * INTO run FROM adrf_sse_run AS kept WHERE kept.id = run_id AND NOT kept.is_removed FOR UPDATE;
    IF run.starter = starter THEN
        DELETE FROM adrf_sse_channel WHERE name = 'adrf-sse.run:' || run_id;
        run.key := NULL;
        run.is_removed := true;
        IF run.expires IS NULL THEN
            run := adrf_sse_run_finish(run, 'failed', ttl, '{}', NULL);
        ELSE
            run := adrf_sse_run_save(run, '{}');
        END IF;
    END IF;
END $$;
"""

TRIM = """
-- Delete the events of runs that have expired, not many more than ``most``, and the runs that have none left. Returns
-- how many events and runs were deleted. Only one transaction does so at a time.
CREATE FUNCTION adrf_sse_trim_runs(most integer) RETURNS bigint LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    present bigint := adrf_sse_now();
    numbers bigint[];
    events bigint;
    final bigint;
    runs bigint;
BEGIN
    -- Others than READ COMMITTED would fail at rows that were changed meanwhile.
    IF current_setting('transaction_isolation') <> 'read committed'
        OR NOT pg_try_advisory_xact_lock('adrf_sse_event'::regclass::oid::integer, 2) THEN
        RETURN 0;
    END IF;
    numbers := ARRAY(
        SELECT number FROM adrf_sse_run WHERE expires <= present OR (expires IS NULL AND lease + ttl <= present)
        LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    -- No reader finds a part of the events.
    UPDATE adrf_sse_channel SET dropped = greatest(dropped, last) FROM adrf_sse_run
    WHERE number = ANY (numbers) AND NOT is_removed AND name = 'adrf-sse.run:' || id;
    WITH gone AS (
        DELETE FROM adrf_sse_event WHERE id IN (
            SELECT event.id FROM adrf_sse_run AS run, LATERAL (
                SELECT id FROM adrf_sse_event WHERE channel = 'adrf-sse.run:' || run.id AND id <= last LIMIT most
            ) AS event WHERE number = ANY (numbers) LIMIT most
        ) RETURNING id
    )
    SELECT count(*), max(id) INTO events, final FROM gone;
    UPDATE adrf_sse_state SET position = greatest(position, final) WHERE position < final;
    WITH gone AS (
        DELETE FROM adrf_sse_run AS run WHERE number = ANY (numbers) AND NOT EXISTS (
            SELECT FROM adrf_sse_event WHERE channel = 'adrf-sse.run:' || run.id AND id <= last
        ) RETURNING id, is_removed
    ), channels AS (
        DELETE FROM adrf_sse_channel USING gone WHERE NOT is_removed AND name = 'adrf-sse.run:' || gone.id
    )
    SELECT count(*) INTO runs FROM gone;
    RETURN events + runs;
END $$;
"""

REVERSE = """
DROP FUNCTION adrf_sse_run_create, adrf_sse_run_claim, adrf_sse_run_write, adrf_sse_run_end, adrf_sse_run_read,
    adrf_sse_run_discard, adrf_sse_trim_runs, adrf_sse_run_look, adrf_sse_run_finish, adrf_sse_run_save;
DROP TABLE adrf_sse_run;
UPDATE adrf_sse_state SET position = greatest(position, (SELECT max(id) FROM adrf_sse_event));
DELETE FROM adrf_sse_event WHERE starts_with(channel, 'adrf-sse.run:');
DELETE FROM adrf_sse_channel WHERE starts_with(name, 'adrf-sse.run:');
"""


class Migration(migrations.Migration):
    """Create what runs need."""

    dependencies = [("adrf_sse_postgres", "0001_channels")]

    operations = [PostgresSQL(TABLES + COMMON + OPERATIONS + TRIM, REVERSE)]
