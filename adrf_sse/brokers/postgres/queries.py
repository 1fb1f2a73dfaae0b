"""What publishers, listeners and readers ask PostgreSQL."""

PUBLISH, STAGE = "SELECT adrf_sse_publish(%s, %s, %s, %s)", "SELECT adrf_sse_stage(%s, %s, %s, %s)"
"""Publish an event outside of a transaction, or in one. Parameters: channel, body, events and microseconds kept."""

PLANNING = """
SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan', 'jit']) AS name
"""
"""Makes the queries below read the indexes in their order, whatever the statistics of the tables are."""

POSITION = "SELECT greatest(position, (SELECT max(id) FROM adrf_sse_event)) FROM adrf_sse_state"
"""The last ID that was assigned to an event whose transaction has committed."""

EVENT = "SELECT id, body FROM adrf_sse_event WHERE id = %s"
"""The event with an ID, for one that comes alone: without the sum of sizes, this takes two thirds of the time."""

EVENTS = """
SELECT id, body FROM (
    SELECT id, body, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before
    FROM adrf_sse_event WHERE id = ANY(%s)
) AS found WHERE before < %s ORDER BY id
"""
"""The first events of these IDs. Parameters: IDs, bytes of events before the last one at most."""

PAGE = """
WITH asked AS (
    SELECT %(after)s::bigint AS after, %(limit)s::integer AS most
), place AS MATERIALIZED (
    SELECT position, least(greatest(forgotten, adrf_sse_now() - %(ttl)s::bigint), position) AS unknown FROM (
        SELECT greatest(position, (SELECT max(id) FROM adrf_sse_event)) AS position, forgotten
        FROM adrf_sse_state LIMIT 1
    ) AS state
), bounds AS MATERIALIZED (
    SELECT names.name, least(CASE
        WHEN after > position THEN position
        WHEN names.is_whole THEN coalesce(dropped, unknown)
        ELSE greatest(dropped, unknown, (
            SELECT id FROM adrf_sse_event WHERE channel = names.name AND id > after
            ORDER BY id DESC OFFSET %(history)s LIMIT 1
        ))
    END, position) AS dropped
    FROM asked, place, unnest(%(names)s::text[], %(whole)s::boolean[]) AS names (name, is_whole)
    LEFT JOIN adrf_sse_channel USING (name)
), found AS MATERIALIZED (
    SELECT event.id FROM asked, bounds, LATERAL (
        SELECT id FROM adrf_sse_event WHERE channel = bounds.name AND id > greatest(after, dropped)
        ORDER BY id LIMIT most + 1
    ) AS event ORDER BY event.id LIMIT (SELECT most + 1 FROM asked)
), sized AS (
    SELECT id, channel, body, row_number() OVER ids AS number, sum(octet_length(body)) OVER ids AS size,
        count(*) OVER () AS total
    FROM found JOIN adrf_sse_event USING (id) WINDOW ids AS (ORDER BY id)
)
SELECT position, NULL::text, NULL::bytea, 0::bigint FROM place
UNION ALL
SELECT dropped, name, NULL, 0 FROM asked, place, bounds WHERE after > position OR after < dropped
UNION ALL
SELECT id, channel, body, total FROM asked, sized WHERE number = 1 OR number <= most AND size <= %(bytes)s
"""
"""A page: the position; the channels of which events are missing, with the ID up to which; and the oldest events.

Events that are to be dropped are left out, whether or not they have been dropped. Of a run's channel, all are kept.
The last column of an event is the number of events that were found, of which perhaps not all are returned.
"""
