"""Scripts that Redis runs atomically. A channel's history is a stream; the IDs of its entries are those of the events.

Each entry contains the event (``b``) and the ID of the event before it in its channel (``p``), even if that one is no
longer kept. So the first entry that is kept tells which events a reader may have missed.

Redis can only load whole entries. So that a reader can compare the IDs of events without loading the events, an event
of more than 2 KiB is stored in a second stream, under the same ID. Its entry in the history contains its size (``s``).
"""

PUBLISH = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'position', 'born')
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local previous = last[1] and tonumber(string.match(last[1][1], '%d+'))
local is_spoiled = previous and previous >= 2 ^ 52
if is_spoiled then
    redis.call('PEXPIRE', KEYS[2], 0)
    previous = nil
end
local id = math.max(now, (tonumber(state[1]) or 0) + 1, (previous or 0) + 1)
local text = string.format('%.0f', id)
if state[2] then
    redis.call('HSET', KEYS[1], 'position', text)
else
    state[2] = string.format('%.0f', id - 1)
    redis.call('HSET', KEYS[1], 'position', text, 'born', state[2])
end
local history, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
if not previous then
    previous = is_spoiled and id - 1 or math.min(math.max(tonumber(state[2]), now - ttl), id - 1)
end
local name, value = 'b', ARGV[2]
if #value > 2048 and not redis.pcall('XADD', KEYS[3], text, 'b', value).err then
    name, value = 's', #value
end
redis.call('XADD', KEYS[2], 'MAXLEN', history, text, 'p', string.format('%.0f', previous), name, value)
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', math.max(now - ttl, 0)))
local expiry = math.ceil((id - now + ttl) / 1000) + 1000
redis.call('PEXPIRE', KEYS[2], expiry)
if redis.call('PEXPIRE', KEYS[3], expiry) == 1 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    redis.pcall('XTRIM', KEYS[3], 'MINID', first and first[1] or text)
end
redis.call('PUBLISH', ARGV[1], text .. ':' .. ARGV[2])
return text
"""
"""Publish an event and return its ID.

The history expires a second after its last event became too old by its ID, which may be later than the clock. So if
there is no history, each event that it contained is older than ``ttl``, however Redis rounds. Large events are dropped
and expire together with their entries.

IDs are below 2^52. If another program has written a later entry, no event could follow it. So the history is deleted,
and readers are told that its events may be missing.

Keys: state, history, large events. Arguments: pub/sub channel, event, number of events to keep, microseconds to keep
them. Redis accepts no more keys and arguments from a client that has to authenticate, and would hide that error.
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
    return {state[1], {}, {}, 0}
end
local after, position, ttl = tonumber(ARGV[1]), tonumber(state[1]), tonumber(ARGV[3])
local unknown = math.min(math.max(tonumber(state[2]), now - ttl), position)
local limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[4])
local missed, found, size = {}, {}, 0
local unread = {}  -- histories with unread entries, the one with the earliest of them last

local function miss(history, id)
    missed[#missed + 1] = {history.index, string.format('%.0f', math.min(id, position))}
end

local function advance(history)
    history.at = history.at + 1
    if history.at > #history.entries then
        history.entries = redis.call('XRANGE', history.key, history.start, state[1], 'COUNT', history.count)
        history.at = 1
        history.count = math.min(history.count * 2, 32)
    end
    local entry = history.entries[history.at]
    if not entry then
        return
    end
    history.entry, history.start = entry, '(' .. entry[1]
    history.id = tonumber(string.match(entry[1], '%d+'))
    local low, high = 1, #unread + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        if unread[middle].id > history.id then low = middle + 1 else high = middle end
    end
    table.insert(unread, low, history)
end

for i = 2, #KEYS, 2 do
    local history = {index = i / 2 - 1, key = KEYS[i], large = KEYS[i + 1], entries = {}, at = 0, count = 1}
    local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
    local dropped = unknown
    if first then
        dropped = first[2][1] == 'p' and tonumber(first[2][2]) or position
    end
    if after > position then
        miss(history, position)
    elseif after < math.min(dropped, position) then
        miss(history, dropped)
    end
    if first then
        history.start = string.format('%.0f', after + 1)
        advance(history)
    end
end

for number = 1, limit do
    local history = unread[#unread]
    if not history then
        break
    end
    local entry_id, fields = history.entry[1], history.entry[2]
    local is_ours = #fields == 4 and fields[1] == 'p' and string.sub(entry_id, -2) == '-0'
    local event = is_ours and fields[3] == 'b' and fields[4] or ''
    local is_large = is_ours and fields[3] == 's'
    local length = is_large and tonumber(fields[4]) or #event
    if number > 1 and size + length > bytes then
        break
    end
    if is_large then
        local stored = redis.pcall('XRANGE', history.large, entry_id, entry_id)[1]
        if stored then event = stored[2][2] else miss(history, history.id) end
    end
    size = size + length
    for _, value in ipairs({history.index, history.id, event}) do
        found[#found + 1] = value
    end
    if length > 8192 then
        history.count = 1
    end
    table.remove(unread)
    advance(history)
end
return {state[1], missed, found, #unread}
"""
"""Read a page: the oldest entries of all histories, in the order of their IDs.

Only what is returned is loaded, and of each history one small entry more, or up to 31 while a page reads many of them.

Keys: state; for each channel its history and its large events. Arguments: ID to read after (or nothing), number of
entries, microseconds for which entries are kept, bytes of the entries after the first one.

Returns the broker's position; for each history of which events may be missing its index, and the ID up to which they
may be missing; for each entry the index of its history, its ID and the event; and the number of histories that have
more entries. Other programs may have written some of the entries: they have no event, or one that is not valid. If such
an entry is the first one, all events may be missing.
"""
