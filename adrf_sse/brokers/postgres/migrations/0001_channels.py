"""The tables and functions of channels.

An event's ID is assigned when its transaction commits, under an advisory lock that lasts until the commit is visible.
So IDs grow in the order of commits, and PostgreSQL, too, delivers notifications in that order. Nothing is locked before
the commit: ``publish()`` in a transaction only stages the event, in a table that is not logged, because no staged event
outlives its transaction.

The first event that a transaction stages fires a deferred constraint trigger at the commit. It only deletes the staged
row, so that a second trigger fires after all that the transaction has deferred until then. Otherwise the transaction
would hold the lock while checks of its foreign keys wait for rows that others, which wait for the lock, have locked.

A setting of the transaction contains the place of the last staged event, and each staged event that of the one before.
A savepoint that is rolled back restores the setting. So staged events are found without a scan, at which serializable
transactions would conflict. Where a query has to use a disabled scan, its cost is so high that PostgreSQL would compile
it (``jit``).
"""

from django.db import migrations

from adrf_sse.brokers.postgres.operations import PostgresSQL

TABLES = """
CREATE SEQUENCE adrf_sse_id;

CREATE TABLE adrf_sse_event (
    id bigint PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    body bytea NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000
);
CREATE INDEX adrf_sse_event_channel ON adrf_sse_event (channel, id);
COMMENT ON TABLE adrf_sse_event IS 'The history of all channels, and the events of runs';

CREATE TABLE adrf_sse_channel (
    name text COLLATE "C" PRIMARY KEY,
    dropped bigint NOT NULL
);
CREATE INDEX adrf_sse_channel_dropped ON adrf_sse_channel (dropped);
COMMENT ON TABLE adrf_sse_channel IS 'Up to which ID events were dropped from the channels that had too many';

CREATE TABLE adrf_sse_state (
    forgotten bigint NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 10);
COMMENT ON COLUMN adrf_sse_state.forgotten IS 'Up to which ID events may have been dropped from any channel';
COMMENT ON COLUMN adrf_sse_state.position IS 'The last ID that was dropped';

CREATE UNLOGGED TABLE adrf_sse_staged (
    number integer NOT NULL,
    previous tid,
    channel text COLLATE "C" NOT NULL,
    body bytea NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_threshold = -1
);
COMMENT ON TABLE adrf_sse_staged IS 'The events of transactions that have not committed';
COMMENT ON COLUMN adrf_sse_staged.number IS 'The number of the event in its transaction, from 1';
COMMENT ON COLUMN adrf_sse_staged.previous IS 'The place of the event with the number before';
"""

# The time in microseconds, or one more than the last ID.
NEXT = "greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, last_value + 1)"

FUNCTIONS = """
CREATE FUNCTION adrf_sse_now() RETURNS bigint LANGUAGE sql VOLATILE
RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

CREATE FUNCTION adrf_sse_topic() RETURNS text LANGUAGE sql IMMUTABLE
RETURN {topic};

INSERT INTO adrf_sse_state VALUES (adrf_sse_now(), adrf_sse_now());

-- Take the lock of publishers, and return the first new ID. The new IDs are assigned by adrf_sse_notify().
CREATE FUNCTION adrf_sse_next_id() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, 1);
    RETURN (SELECT {next} FROM {schema}.adrf_sse_id);
END $$;

-- Assign the IDs of events, and notify listeners: the last ID before, so that listeners see if a notification was lost,
-- the first ID, and the channel of each event in order, or channel*number for a number of them in one channel, or * and
-- their number if the channels do not fit.
-- In SQL, its query would be planned at each call, under the lock of publishers.
CREATE FUNCTION adrf_sse_notify(first bigint, events bigint, channels text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify({topic}, last_value || ' ' || first || ' ' || CASE
        WHEN length(channels) <= 7900 THEN channels ELSE '* ' || events
    END), setval({sequence}, first + events - 1) FROM {schema}.adrf_sse_id;
END $$;

-- Drop what is too old or too much: of all channels the events before a time, of one channel the first events, and the
-- marks that this makes superfluous. Returns how many events were dropped. Only one transaction does so at a time.
-- The settings make it read the indexes in their order, whatever the statistics of the tables are.
CREATE FUNCTION adrf_sse_trim(trimmed text, history integer, ttl bigint, most integer) RETURNS bigint LANGUAGE plpgsql
SET search_path = {schema}, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET jit = off AS $$
DECLARE
    horizon bigint := adrf_sse_now() - ttl;
    until bigint;
    total bigint := 0;
    events bigint;
BEGIN
    -- Others than READ COMMITTED would fail at rows that were changed meanwhile.
    IF current_setting('transaction_isolation') <> 'read committed' OR NOT pg_try_advisory_xact_lock({lock}, 2) THEN
        RETURN 0;
    END IF;
    SELECT max(id) INTO until FROM (
        SELECT id FROM adrf_sse_event WHERE id < horizon AND NOT starts_with(channel, 'adrf-sse.run:')
        ORDER BY id LIMIT most
    ) AS old;
    IF until IS NOT NULL THEN
        DELETE FROM adrf_sse_event WHERE id <= until AND NOT starts_with(channel, 'adrf-sse.run:');
        GET DIAGNOSTICS total = ROW_COUNT;
        UPDATE adrf_sse_state SET forgotten = greatest(forgotten, until), position = greatest(position, until);
        DELETE FROM adrf_sse_channel WHERE dropped <= until AND NOT starts_with(name, 'adrf-sse.run:');
    END IF;
    SELECT id INTO until FROM adrf_sse_event WHERE channel = trimmed ORDER BY id DESC OFFSET history LIMIT 1;
    IF found THEN
        SELECT max(id) INTO until FROM (
            SELECT id FROM adrf_sse_event WHERE channel = trimmed AND id <= until ORDER BY id LIMIT most
        ) AS first;
        DELETE FROM adrf_sse_event WHERE channel = trimmed AND id <= until;
        GET DIAGNOSTICS events = ROW_COUNT;
        total := total + events;
        INSERT INTO adrf_sse_channel VALUES (trimmed, until)
        ON CONFLICT (name) DO UPDATE SET dropped = greatest(adrf_sse_channel.dropped, excluded.dropped);
    END IF;
    RETURN total;
END $$;

-- Publish an event outside of a transaction, and return its ID.
CREATE FUNCTION adrf_sse_publish(channel text, body bytea, history integer, ttl bigint) RETURNS bigint LANGUAGE plpgsql
AS $$
DECLARE
    id bigint;
BEGIN
    IF random() < 0.01 THEN
        PERFORM {schema}.adrf_sse_trim(channel, history, ttl, 1000);
    END IF;
    PERFORM pg_advisory_xact_lock({lock}, 1);
    INSERT INTO {schema}.adrf_sse_event SELECT {next}, channel, body FROM {schema}.adrf_sse_id
    RETURNING adrf_sse_event.id INTO id;
    PERFORM {schema}.adrf_sse_notify(id, 1, channel);
    RETURN id;
END $$;

-- Publish an event when the transaction commits.
CREATE FUNCTION adrf_sse_stage(channel text, body bytea, history integer, ttl bigint) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    setting text := 'adrf_sse.staged_' || {staged}::oid;
    last text := current_setting(setting, true);
    event integer := 1;
    place tid;
BEGIN
    IF random() < 0.01 THEN
        PERFORM {schema}.adrf_sse_trim(channel, history, ttl, 1000);
    END IF;
    IF last <> '' THEN
        event := split_part(last, ' ', 1)::integer + 1;
        place := split_part(last, ' ', 2)::tid;
    END IF;
    -- If constraints are immediate, the triggers fire at the end of this statement.
    INSERT INTO {schema}.adrf_sse_staged VALUES (event, place, channel, body)
    RETURNING set_config(setting, event || ' ' || ctid, true) INTO last;
END $$;

CREATE FUNCTION adrf_sse_defer() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    DELETE FROM {schema}.adrf_sse_staged WHERE ctid = NEW.ctid;
    RETURN NULL;
END $$;

CREATE FUNCTION adrf_sse_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    setting text := 'adrf_sse.staged_' || TG_RELID;
    last text := current_setting(setting);
    channel text := OLD.channel;
    id bigint;
BEGIN
    PERFORM set_config(setting, '', true), pg_advisory_xact_lock({lock}, 1);
    INSERT INTO {schema}.adrf_sse_event SELECT {next}, channel, OLD.body FROM {schema}.adrf_sse_id
    RETURNING adrf_sse_event.id INTO id;
    IF last LIKE '1 %' THEN
        PERFORM {schema}.adrf_sse_notify(id, 1, channel);
    ELSIF last = '' THEN
        RAISE EXCEPTION 'A transaction that has published events must keep its settings, got RESET ALL.'
            USING HINT = 'Reset settings by name, or before the transaction.';
    ELSE
        PERFORM {schema}.adrf_sse_commit_others(last, id, channel);
    END IF;
    RETURN NULL;
END $$;

-- Publish the other events of a transaction.
CREATE FUNCTION adrf_sse_commit_others(last text, first bigint, first_channel text) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    events integer := split_part(last, ' ', 1);
    place tid := split_part(last, ' ', 2);
    places tid[] := '{}';
    channels text;
BEGIN
    FOR number IN 2..events LOOP
        places := places || place;
        SELECT previous INTO STRICT place FROM {schema}.adrf_sse_staged WHERE ctid = place;
    END LOOP;
    WITH staged AS (
        DELETE FROM {schema}.adrf_sse_staged WHERE ctid = ANY (places) RETURNING number, channel, body
    ), added AS (
        INSERT INTO {schema}.adrf_sse_event SELECT first - 1 + number, channel, body FROM staged RETURNING id, channel
    )
    SELECT string_agg(channel, ' ' ORDER BY id) INTO channels FROM added;
    PERFORM {schema}.adrf_sse_notify(first, events, first_channel || ' ' || channels);
END $$;

CREATE CONSTRAINT TRIGGER adrf_sse_defer AFTER INSERT ON adrf_sse_staged DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.number = 1) EXECUTE FUNCTION adrf_sse_defer();

CREATE CONSTRAINT TRIGGER adrf_sse_commit AFTER DELETE ON adrf_sse_staged DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.number = 1) EXECUTE FUNCTION adrf_sse_commit();
"""

REVERSE = """
DROP TABLE adrf_sse_staged, adrf_sse_event, adrf_sse_channel, adrf_sse_state;
DROP FUNCTION adrf_sse_notify, adrf_sse_topic, adrf_sse_next_id, adrf_sse_trim, adrf_sse_publish, adrf_sse_stage,
    adrf_sse_defer, adrf_sse_commit, adrf_sse_commit_others, adrf_sse_now;
DROP SEQUENCE adrf_sse_id;
"""


class Migration(migrations.Migration):
    """Create what channels need."""

    initial = True

    dependencies = []

    operations = [PostgresSQL(TABLES + FUNCTIONS.replace("{next}", NEXT), REVERSE)]
