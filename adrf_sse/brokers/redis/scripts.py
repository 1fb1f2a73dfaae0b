"""What Redis runs in one step. A channel's history is a stream, its entries' ids are the events' ids.

Each entry (``b``, the event) also names the event before it in its channel (``p``), whether or not that is still kept:
so the first entry that is left tells what a reader may have missed.
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
    return {state[1], '0', {}}
end
local after, position, ttl = tonumber(ARGV[1]), tonumber(state[1]), tonumber(ARGV[3])
if after > position then
    return {state[1], state[1], {}}
end
local unknown = math.min(math.max(tonumber(state[2]), now - ttl), position)
local missed = 0
local found = {}
local limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[4])
for i = 2, #KEYS do
    local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)
    local dropped = first[1] and tonumber(first[1][2][2]) or unknown
    if after < dropped then
        missed = math.max(missed, dropped)
    end
    local entries = first[1] and redis.call('XRANGE', KEYS[i], '(' .. ARGV[1], '+', 'COUNT', limit + 1) or {}
    local kept, size = {}, 0
    for n, entry in ipairs(entries) do
        size = size + #entry[2][4]
        if n > limit or (n > 1 and size > bytes) then
            break
        end
        kept[n] = entry
    end
    if #kept > 0 then
        found[#found + 1] = {i - 2, #kept < #entries and 1 or 0, kept}
    end
end
return {state[1], string.format('%.0f', missed), found}
"""
"""Keys: state, histories. Arguments: id to read after (or nothing), entries at most of each, microseconds to keep them,
bytes at most of each after its first.

Gives the last id, the id up to which events may be lost, and of each history that has any, its index, whether there is
more of it, and its entries.
"""
