"""What Redis runs in one step. A channel's history is a stream, its entries' ids are the events' ids.

Each entry (``b``, the event) also names the event before it in its channel (``p``), whether or not that is still kept:
so the first entry that is left tells what a reader may have missed.
"""

PUBLISH = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'position', 'born')
local id = math.max(now, (tonumber(state[1]) or 0) + 1)
local text = string.format('%.0f', id)
if state[2] then
    redis.call('HSET', KEYS[1], 'position', text)
else
    state[2] = string.format('%.0f', id - 1)
    redis.call('HSET', KEYS[1], 'position', text, 'born', state[2])
end
local history, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local previous
if last[1] then
    previous = string.match(last[1][1], '%d+')
else
    previous = string.format('%.0f', math.max(tonumber(state[2]), now - ttl))
end
redis.call('XADD', KEYS[2], 'MAXLEN', history, text, 'p', previous, 'b', ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', math.max(now - ttl, 0)))
redis.call('PEXPIRE', KEYS[2], math.ceil(ttl / 1000))
redis.call('PUBLISH', ARGV[1], text .. ':' .. ARGV[2])
return text
"""
"""Keys: state, history. Arguments: pub/sub channel, event, events to keep, microseconds to keep them. Gives the id."""

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
    return {state[1], 0, {}}
end
local after, ttl = tonumber(ARGV[1]), tonumber(ARGV[3])
local unknown = math.max(tonumber(state[2]), now - ttl)
local missed = after > tonumber(state[1])
local found = {}
for i = 2, #KEYS do
    local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)
    local dropped = first[1] and tonumber(first[1][2][2]) or unknown
    missed = missed or after < dropped
    if first[1] then
        found[#found + 1] = {i - 2, redis.call('XRANGE', KEYS[i], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])}
    end
end
return {state[1], missed and 1 or 0, found}
"""
"""Keys: state, histories. Arguments: id to read after (or nothing), entries at most of each, microseconds to keep them.

Gives the last id, whether events are missed, and for histories that there are, their index and entries.
"""
