"""Scripts that Redis runs atomically. A channel's history is a stream; the IDs of its entries are those of the events.

Each entry contains the event (``b``) and the ID of the event before it in its channel (``p``), even if that one is no
longer kept. So the first entry that is kept tells which events a reader may have missed.
"""

PUBLISH = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'position', 'born')
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local previous = last[1] and tonumber(string.match(last[1][1], '%d+'))
local id = math.max(now, (tonumber(state[1]) or 0) + 1, (previous or 0) + 1)
local text = string.format('%.0f', id)
if state[2] then
    redis.call('HSET', KEYS[1], 'position', text)
else
    state[2] = string.format('%.0f', id - 1)
    redis.call('HSET', KEYS[1], 'position', text, 'born', state[2])
end
local history, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
previous = string.format('%.0f', previous or math.min(math.max(tonumber(state[2]), now - ttl), id - 1))
redis.call('XADD', KEYS[2], 'MAXLEN', history, text, 'p', previous, 'b', ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', math.max(now - ttl, 0)))
redis.call('PEXPIRE', KEYS[2], math.ceil((id - now + ttl) / 1000) + 1000)
redis.call('PUBLISH', ARGV[1], text .. ':' .. ARGV[2])
return text
"""
"""Publish an event and return its ID.

The history expires a second after its last event became too old by its ID, which may be later than the clock. So if
there is no history, each event that it contained is older than ``ttl``, however Redis rounds.

Keys: state, history. Arguments: pub/sub channel, event, number of events to keep, microseconds to keep them.
"""

READ = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'position', 'born')
if not state[1] then
    local text = string.format('%.0f', now)
    redis.pcall('HSET', KEYS[1], 'position', text, 'born', text)
    state = {text, text}
end
if ARGV[1] == '' then
    return {state[1], {}, {}}
end
local after, position, ttl = tonumber(ARGV[1]), tonumber(state[1]), tonumber(ARGV[3])
local unknown = math.min(math.max(tonumber(state[2]), now - ttl), position)
local missed = {}
local found = {}
local limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[4])
local start = string.format('%.0f', after + 1)
for i = 2, #KEYS do
    local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)
    local dropped = unknown
    if first[1] then
        local name, previous = first[1][2][1], first[1][2][2]
        dropped = math.min(name == 'p' and tonumber(previous) or position, position)
    end
    if after > position then
        missed[#missed + 1] = {i - 2, state[1]}
    elseif after < dropped then
        missed[#missed + 1] = {i - 2, string.format('%.0f', dropped)}
    end
    local entries = first[1] and redis.call('XRANGE', KEYS[i], start, state[1], 'COUNT', limit + 1) or {}
    local kept, size = {}, 0
    for n, entry in ipairs(entries) do
        size = size + #(entry[2][4] or '')
        if n > limit or (n > 1 and size > bytes) then
            break
        end
        kept[n] = entry
    end
    if #kept > 0 then
        found[#found + 1] = {i - 2, #kept < #entries and 1 or 0, kept}
    end
end
return {state[1], missed, found}
"""
"""Read a page of histories.

Keys: state, histories. Arguments: ID to read after (or nothing), number of entries of each history, microseconds for
which entries are kept, bytes of each history after its first entry.

Returns the broker's position; for each history of which events may be missing its index, and the ID up to which they
may be missing; and for each history that has entries its index, whether it has more entries, and the entries. Other
programs may have written some of the entries. If such an entry is the first one, all events may be missing.
"""
