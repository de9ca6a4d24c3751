-- Shared by the scripts that use the clock; put in front of them.
-- KEYS: 1 clock
-- ARGV: 1 the greatest value of it that a server has told the caller, 2 bus channel, 3 the tag that all entries carry, 4 most
--       fields of a bucket
-- The rules of the clock are in sequence.rs, those of holds in hold/mod.rs.

-- The clock, and all numbers of invalidations, are below. Also in sequence.rs.
local END = 4503599627370496

-- The longest life of a hold in ms.
local LONGEST = 30000

-- The other keys of the prefix. The caller can't name all of them: which tags a hold has is known here only.
local base = string.sub(KEYS[1], 1, -6)
local HOLDS, HELD = base .. 'holds', base .. 'held'

-- Who is named as the author of what is settled, so that every process takes notice.
local NOBODY = '-'

-- How many damaged keys were deleted.
local damaged = 0

-- A Lua number as Redis wants it: tostring() would say 1.7e+15.
local function text(value)
    return string.format('%.0f', value)
end

-- The number that text() has written; nil for anything else. tonumber() alone would accept ' 1e3'.
local function number(digits)
    if type(digits) == 'string' and #digits <= 16 and string.find(digits, '^[1-9]%d*$') then
        local value = tonumber(digits)
        return value < END and value or nil
    end
end

-- The answer to a command that reads; nil if the key holds another type. Other errors end the script.
local function ask(...)
    local answer = redis.pcall(...)
    if type(answer) ~= 'table' or not answer.err then
        return answer
    end
    if not string.find(answer.err, 'WRONGTYPE', 1, true) then
        return redis.call(...)
    end
end

-- The clock, or nil if there is none; then also whether something else is in its place. At the last number of all it is of
-- no use: no invalidation could follow.
local function clock()
    local found = ask('GET', KEYS[1])
    local now = number(found)
    return now and now < END - 1 and now or nil, found ~= false
end

-- The clock, unless there is none or it is behind the caller.
local function clock_for_caller()
    local now = clock()
    return now and now >= (number(ARGV[1]) or 0) and now or nil
end

-- Whether what a bucket says can be true: nothing was invalidated later than now. There may be nothing (false).
local function is_sound(field, now)
    return field == false or (number(field) or END) <= now
end

local function publish(author, now, tags)
    redis.call('PUBLISH', ARGV[2], author .. ' ' .. text(now) .. ' ' .. tags)
end

local function delete(bucket)
    redis.call('UNLINK', bucket) -- it may be huge
    damaged = damaged + 1
end

-- One that is far too full was filled by somebody else, and would take too long.
local function trim(bucket, now, size)
    local most = tonumber(ARGV[4])
    local fields, stamps = size <= 2 * most and redis.call('HGETALL', bucket) or {}, {}
    for i = 1, #fields, 2 do
        if not is_sound(fields[i + 1], now) then
            return delete(bucket)
        end
        if fields[i] ~= 'floor' then
            stamps[#stamps + 1] = number(fields[i + 1])
        end
    end
    if #stamps == 0 then
        return delete(bucket)
    end
    table.sort(stamps)
    local floor = math.max(stamps[math.ceil(#stamps / 2)], number(redis.call('HGET', bucket, 'floor')))
    for i = 1, #fields, 2 do
        if fields[i] ~= 'floor' and number(fields[i + 1]) <= floor then
            redis.call('HDEL', bucket, fields[i])
        end
    end
    redis.call('HSET', bucket, 'floor', text(floor))
end

-- A tag was invalidated now. A bucket that is missing stays missing: everything in it counts as invalidated already. One that
-- is damaged is deleted, and so goes missing. One with too many tags is trimmed: the older half is forgotten by raising the
-- floor over it.
local function record(tag, now)
    local bucket = base .. string.format('%02x', string.byte(tag))
    local floor = ask('HGET', bucket, 'floor')
    if floor == nil or not is_sound(floor, now) then
        return delete(bucket)
    end
    if floor then
        redis.call('HSET', bucket, tag, text(now))
        local size = redis.call('HLEN', bucket)
        if size > tonumber(ARGV[4]) then
            trim(bucket, now, size)
        end
    end
end

-- Records these tags (8 bytes each) at this number, to which the clock was moved, and tells everyone.
local function record_all(author, now, tags)
    for i = 1, #tags, 8 do
        record(string.sub(tags, i, i + 7), now)
    end
    publish(author, now, tags)
    return now
end

local function milliseconds()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- What is invalidated when this hold ends. Tags that are lost or damaged stand for everything.
local function take_tags(token)
    local tags = ask('HGET', HELD, token)
    if tags == nil then
        redis.call('UNLINK', HELD)
    elseif tags then
        redis.call('HDEL', HELD, token)
    end
    return tags and #tags > 0 and #tags <= 4096 and #tags % 8 == 0 and tags or ARGV[3]
end

-- Invalidates the tags of all holds that have ended. Each script does so before it uses the clock `now`. Returns the clock.
-- The set of holds has a sentinel, '-'. Without it the set was lost, and comes back with a hold on everything ('*', which has no
-- tags); and everything is invalidated at once, as the holds that were lost may be over already.
-- Each branch begins by a removal: out of memory, a script that has written something goes on.
local function settle(now)
    local first = ask('ZRANGE', HOLDS, 0, 0)
    if first and first[1] == '-' then
        return now
    end
    local time = milliseconds()
    if not first or not redis.call('ZSCORE', HOLDS, '-') then
        redis.call('UNLINK', HOLDS, HELD)
        redis.call('ZADD', HOLDS, '+inf', '-', text(time + LONGEST), '*')
        redis.call('SET', KEYS[1], text(now + 1))
        now = record_all(NOBODY, now + 1, ARGV[3])
    end
    -- The server's time was set back: they end as late as if they were placed now.
    for _, token in ipairs(redis.call('ZRANGEBYSCORE', HOLDS, '(' .. text(time + LONGEST), '(+inf')) do
        redis.call('ZREM', HOLDS, token)
        redis.call('ZADD', HOLDS, text(time + LONGEST), token)
    end
    for _, token in ipairs(redis.call('ZRANGEBYSCORE', HOLDS, '-inf', text(time))) do
        redis.call('ZREM', HOLDS, token)
        redis.call('SET', KEYS[1], text(now + 1))
        now = record_all(NOBODY, now + 1, take_tags(token))
    end
    damaged = 0
    return now
end
-- Purpose: one invalidation: moves the clock, records the new value for each tag, and tells everyone. It may end a hold.
--          Out of memory, where nothing can be written, the buckets and the clock are deleted instead, if there is one:
--          that kills more than was asked for, but not less.
-- KEYS:    1 clock, 2.. the bucket of each tag
-- ARGV:    1 to 4 see clock.lua, 5 id of the caller, 6 '1' if there is no memory to make a clock, 7 token of the hold that ends
--          ('' for none), 8.. the tags (8 bytes each)
-- Result:  {the invalidation's number, how many damaged keys were deleted}; {0, .., a number} if clock and buckets were
--          deleted instead, where the clock that comes after is at least that number, which is the server's time; {-1, 0} if
--          there is no clock; {-1, the clock} if it went back behind ARGV[1] (then nothing was changed)
local tags = table.concat(ARGV, '', 8)

local function forget(last)
    for i = 1, #KEYS do
        redis.call('UNLINK', KEYS[i])
    end
    publish(ARGV[5], 0, tags)
    local time = redis.call('TIME')
    return {0, damaged, math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), last)}
end

local now = clock_for_caller()
if not now then
    return ARGV[6] == '1' and forget(0) or {-1, clock() or 0}
end
now = settle(now) + 1
if ARGV[7] ~= '' then
    redis.call('ZREM', HOLDS, ARGV[7])
    redis.pcall('HDEL', HELD, ARGV[7])
end
local moved = redis.pcall('SET', KEYS[1], text(now))
if moved.err then
    if not string.find(moved.err, 'OOM', 1, true) then
        return moved
    end
    return forget(now)
end
record_all(ARGV[5], now, tags)
return {now, damaged}
