-- Purpose: one invalidation: moves the clock, records the new value for each tag, and tells everyone. A bucket that is
--          missing stays missing: everything in it counts as invalidated already. A bucket with too many tags is
--          trimmed: the older half is forgotten by raising the floor over it.
--          Out of memory, where nothing can be written, the buckets and the clock are deleted instead: that kills more
--          than was asked for, but not less.
-- KEYS:    1 clock, 2.. the bucket of each tag
-- ARGV:    1 the greatest clock value the caller has seen, 2 bus channel, 3 id of the caller, 4 most fields of a bucket,
--          5.. the tags (8 bytes each)
-- Result:  the invalidation's number; 0 if clock and buckets were deleted instead; -1 if the clock went back behind
--          ARGV[1] (then nothing was changed)
local least, most = tonumber(ARGV[1]), tonumber(ARGV[4])
local tags = table.concat(ARGV, '', 5)

local function publish(number)
    redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. text(number) .. ' ' .. tags)
    return number
end

local function trim(bucket)
    local fields = redis.call('HGETALL', bucket)
    local stamps = {}
    for i = 1, #fields, 2 do
        if fields[i] ~= 'floor' then
            stamps[#stamps + 1] = tonumber(fields[i + 1])
        end
    end
    table.sort(stamps)
    local floor = math.max(stamps[math.ceil(#stamps / 2)], tonumber(redis.call('HGET', bucket, 'floor')))
    for i = 1, #fields, 2 do
        if fields[i] ~= 'floor' and tonumber(fields[i + 1]) <= floor then
            redis.call('HDEL', bucket, fields[i])
        end
    end
    redis.call('HSET', bucket, 'floor', text(floor))
end

local now = clock()
if now and now < least then
    return -1
end
now = (now or fresh_clock(least)) + 1
local moved = redis.pcall('SET', KEYS[1], text(now))
if moved.err then
    if not string.find(moved.err, 'OOM', 1, true) then
        return moved
    end
    for i = 1, #KEYS do
        redis.call('DEL', KEYS[i])
    end
    return publish(0)
end
for i = 2, #KEYS do
    if redis.call('HEXISTS', KEYS[i], 'floor') == 1 then
        redis.call('HSET', KEYS[i], ARGV[i + 3], text(now))
        if redis.call('HLEN', KEYS[i]) > most then
            trim(KEYS[i])
        end
    end
end
return publish(now)
