-- Purpose: one invalidation: moves the clock, records the new value for each tag, and tells everyone. A bucket that is
--          missing stays missing: everything in it counts as invalidated already. One that is damaged is deleted, and so
--          goes missing. A bucket with too many tags is trimmed: the older half is forgotten by raising the floor over it.
--          Out of memory, where nothing can be written, the buckets and the clock are deleted instead, if there is one:
--          that kills more than was asked for, but not less.
-- KEYS:    1 clock, 2.. the bucket of each tag
-- ARGV:    1 the greatest clock value a server has told the caller, 2 bus channel, 3 id of the caller, 4 most fields of a
--          bucket, 5 '1' if there is no memory to make a clock, 6.. the tags (8 bytes each)
-- Result:  {the invalidation's number, how many damaged keys were deleted}; {0, .., a number} if clock and buckets were
--          deleted instead, where the clock that comes after is at least that number, which is the server's time; {-1, 0} if there is no clock; {-1, the clock} if it went back behind ARGV[1] (then nothing was changed)
local most, damaged = tonumber(ARGV[4]), 0
local tags = table.concat(ARGV, '', 6)

local function publish(now)
    redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. text(now) .. ' ' .. tags)
    return {now, damaged}
end

local function delete(bucket)
    redis.call('UNLINK', bucket) -- it may be huge
    damaged = damaged + 1
end

-- One that is far too full was filled by somebody else, and would take too long.
local function trim(bucket, now, size)
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

local function record(bucket, tag, now)
    local floor = ask('HGET', bucket, 'floor')
    if floor == nil or not is_sound(floor, now) then
        return delete(bucket)
    end
    if floor then
        redis.call('HSET', bucket, tag, text(now))
        local size = redis.call('HLEN', bucket)
        if size > most then
            trim(bucket, now, size)
        end
    end
end

local function forget(last)
    for i = 1, #KEYS do
        redis.call('UNLINK', KEYS[i])
    end
    local time, answer = redis.call('TIME'), publish(0)
    answer[3] = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), last)
    return answer
end

local now = clock_for_caller()
if not now then
    return ARGV[5] == '1' and forget(0) or {-1, clock() or 0}
end
now = now + 1
local moved = redis.pcall('SET', KEYS[1], text(now))
if moved.err then
    if not string.find(moved.err, 'OOM', 1, true) then
        return moved
    end
    return forget(now)
end
for i = 2, #KEYS do
    record(KEYS[i], ARGV[i + 4], now)
end
return publish(now)
