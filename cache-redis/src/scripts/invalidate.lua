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
