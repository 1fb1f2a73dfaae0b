"""Scripts that Redis runs atomically to keep runs. A run is a hash, and its events are the history of its channel.

Fields of the hash: ``status``, ``owner``, ``starter``, ``producer``, ``events`` (their number), ``last`` (the ID of the
last event), ``base`` (the last ID that was assigned before the run was created), ``started``, ``ended`` and ``lease``
(when it ends; all three in microseconds since 1970), ``key`` (the Redis key that names the request), and ``endings``
(JSON of the last events for each status).

Two sorted sets contain the IDs of all runs: by the time when they expire, and by the time when they were created.

The clock is that of Redis, so the clocks of other machines do not matter. While a run is active, its keys expire
``RUN_TTL`` after its lease, so that nothing remains of a run whose processes have all died.
"""

_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local run_key, state_key, history_key, large_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local expiry_key, order_key = KEYS[5], KEYS[6]
local run_id, pubsub, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function text_of(number)
    return string.format('%.0f', number)
end

local function loaded()
    local flat, run = redis.call('HGETALL', run_key), {}
    for i = 1, #flat, 2 do
        run[flat[i]] = flat[i + 1]
    end
    return run.status and run or nil
end

local function set(run, ...)
    local values = {...}
    for i = 1, #values, 2 do
        run[values[i]] = values[i + 1]
    end
    redis.call('HSET', run_key, ...)
end

local function is_active(run)
    return run.status == 'queued' or run.status == 'running'
end

local function keep(run, microseconds)
    local expiry = math.ceil(microseconds / 1000)
    for _, key in ipairs({run_key, history_key, large_key, run.key}) do
        redis.call('PEXPIRE', key, expiry)
    end
end

local function append(run, bodies)
    if #bodies == 0 then
        return
    end
    local state = redis.call('HMGET', state_key, 'position', 'born')
    local id = math.max(now, (tonumber(state[1]) or 0) + 1, (tonumber(run.last) or 0) + 1)
    for i = 1, #bodies do
        local body, text, name, value = bodies[i], text_of(id), 'b', bodies[i]
        if #body > 2048 then
            redis.call('XADD', large_key, text, 'b', body)
            name, value = 's', #body
        end
        redis.call('XADD', history_key, text, 'p', run.last or run.base or '0', name, value)
        redis.call('PUBLISH', pubsub, text .. ':' .. body)
        run.last = text
        id = id + 1
    end
    redis.call('HSET', state_key, 'position', run.last, 'born', state[2] or text_of(now - 1))
    redis.call('HSET', run_key, 'last', run.last)
end

local function finish(run, status, errors)
    local bodies = cjson.decode(run.endings)[status]
    if errors then
        errors[#errors + 1] = bodies[#bodies]
        bodies = errors
    end
    append(run, bodies)
    set(run, 'status', status, 'ended', text_of(now), 'lease', '0')
    keep(run, ttl)
    redis.call('ZADD', expiry_key, 'XX', text_of(now + ttl), run_id)
end

local function look()
    local run = loaded()
    if run and is_active(run) and tonumber(run.lease) <= now then
        finish(run, 'lost')
        run.was_lost = true  -- now, and nobody else has noticed
    end
    return run
end

local function renew(run, lease)
    set(run, 'lease', text_of(now + lease))
    keep(run, lease + ttl)
    redis.call('ZADD', expiry_key, text_of(now + lease + ttl), run_id)
end

local function reply(run, done)
    local lease = is_active(run) and math.max(0, tonumber(run.lease) - now) or 0
    return {run.status, run.owner or '', run.started or '', run.ended or '', run.events or '0', run.last or '0',
        text_of(lease), run.was_lost and 1 or 0, done}
end
"""

_REMOVE_EXPIRED = """
local function remove_expired(expiry_key, order_key, now)
    local expired = redis.call('ZRANGEBYSCORE', expiry_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, 1000)
    if #expired > 0 then
        redis.call('ZREM', order_key, unpack(expired))
        redis.call('ZREM', expiry_key, unpack(expired))
    end
    return #expired
end
"""

_CREATE = """
local key, owner, starter, is_queued = KEYS[7], ARGV[4], ARGV[5], ARGV[6] == '1'
local lease, endings = tonumber(ARGV[7]), ARGV[8]
local repeated = key and redis.call('GET', key)
if repeated and redis.call('EXISTS', string.sub(run_key, 1, #run_key - #run_id) .. repeated) == 1 then
    return repeated
end
local before = look()
if before and (before.owner or '') ~= owner then
    return reply(before, 'foreign')
end
if before and is_active(before) then
    return reply(before, 'active')
end
redis.call('DEL', run_key, history_key, large_key, before and before.key or run_key)
local run = {was_lost = before and before.was_lost}
set(run, 'status', is_queued and 'queued' or 'running', 'starter', starter, 'endings', endings, 'events', '0')
set(run, 'base', redis.call('HMGET', state_key, 'position')[1] or '0')
if owner ~= '' then
    set(run, 'owner', owner)
end
if not is_queued then
    set(run, 'producer', starter, 'started', text_of(now))
end
if key then
    set(run, 'key', key)
    redis.call('SET', key, run_id)
end
remove_expired(expiry_key, order_key, now)
redis.call('ZADD', order_key, text_of(now), run_id)
renew(run, lease)
return reply(run, 'new')
"""

CREATE = _COMMON + _REMOVE_EXPIRED + _CREATE
"""Create a run. Returns the run and whether it is new; or the ID of the run of a repeated request.

Keys: run, state, history, large events, the two indexes, and perhaps that of the request. Arguments: ID, pub/sub
channel, TTL in microseconds, owner, starter, whether the run is queued, lease in microseconds, endings.
"""

CLAIM = (
    _COMMON
    + """
local run = look()
if not run then
    return false
end
if run.status ~= 'queued' then
    return reply(run, 0)
end
set(run, 'status', 'running', 'producer', ARGV[4], 'started', text_of(now))
renew(run, tonumber(ARGV[5]))
return reply(run, 1)
"""
)
"""Begin to produce a queued run. Arguments beside the common ones: producer, lease in microseconds."""

WRITE = (
    _COMMON
    + """
local producer, lease, after, status, count = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local has_errors = ARGV[9] == '1'
local run = look()
if not run then
    return false
end
if run.producer ~= producer then
    if is_active(run) then
        run.status = 'lost'
    end
    return reply(run, 0)
end
if not is_active(run) then
    return reply(run, 0)
end
local events = tonumber(run.events)
if events < after then
    finish(run, 'lost')
    return reply(run, 0)
end
local bodies, errors = {}, {}
for i = 10, 9 + count do
    bodies[#bodies + 1] = ARGV[i]
end
for i = 10 + count, #ARGV do
    errors[#errors + 1] = ARGV[i]
end
if count > 0 and events == after then
    append(run, bodies)
    set(run, 'events', text_of(after + count))
end
if status == 'running' then
    renew(run, lease)
else
    finish(run, status, has_errors and errors)
end
return reply(run, 1)
"""
)
"""Add events, renew the lease, and perhaps end the run. A write that arrives again, however late, adds nothing.

If Redis has come back without some of the events before, the run is lost.

Arguments beside the common ones: producer, lease in microseconds, number of events before, status, number of events,
whether errors follow, the events, the errors that precede the end.
"""

END = (
    _COMMON
    + """
local run = look()
if not run then
    return false
end
if not is_active(run) then
    return reply(run, 0)
end
finish(run, ARGV[4])
return reply(run, 1)
"""
)
"""End an active run. Argument beside the common ones: status."""

READ_RUN = (
    _COMMON
    + """
local run = look()
if not run then
    return false
end
local found = ARGV[4] ~= '' and #redis.call('XRANGE', history_key, ARGV[4], ARGV[4]) or 0
return reply(run, found)
"""
)
"""Return a run, and whether it has an event. Argument beside the common ones: ID of the event, or nothing."""

DISCARD = (
    _COMMON
    + """
local run = loaded()
if run and run.starter == ARGV[4] then
    if is_active(run) then
        finish(run, 'failed')
    end
    redis.call('DEL', run_key, history_key, large_key, run.key or run_key)
    redis.call('ZREM', expiry_key, run_id)
    redis.call('ZREM', order_key, run_id)
end
"""
)
"""End a run as failed, and remove it. Argument beside the common ones: starter."""

LIST = (
    _REMOVE_EXPIRED
    + """
local time = redis.call('TIME')
while remove_expired(KEYS[1], KEYS[2], time[1] * 1000000 + time[2]) > 0 do end
return redis.call('ZREVRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)
"""
)
"""Return the IDs of the runs created last. Keys: the two indexes. Argument: how many."""

RUN_SCRIPTS = (CREATE, CLAIM, WRITE, END, READ_RUN, DISCARD, LIST)
