-- Purpose: reads the clock, and makes sure that the buckets of these tags can tell of them, so that an entry with this
--          stamp isn't born dead. A bucket that was lost, is of another type, or whose floor can't be true, comes back with
--          the floor at the clock; what can't be true of a tag becomes an invalidation at the clock: so what was stored
--          before is dead. Without tags it does so by a write that changes nothing, which a primary that has become a
--          replica refuses.
-- KEYS:    1 clock, 2.. the bucket of each tag (may be none)
-- ARGV:    1 to 4 see clock.lua, 5.. the tags (8 bytes each)
-- Result:  {the clock, how many damaged keys and fields were replaced}; {-1, 0} if there is no clock; {-1, the clock} if it
--          went back behind ARGV[1] (then nothing was changed)
local now = clock_for_caller()
if not now then
    return {-1, clock() or 0}
end
now = settle(now)
if #KEYS == 1 then
    redis.call('PERSIST', KEYS[1])
end

local replaced = 0
local function make(bucket)
    redis.call('UNLINK', bucket) -- it may be huge
    redis.call('HSET', bucket, 'floor', text(now))
end

for i = 2, #KEYS do
    local found = ask('HMGET', KEYS[i], 'floor', ARGV[i + 3])
    if not found or not is_sound(found[1], now) then
        make(KEYS[i])
        replaced = replaced + 1
    elseif not found[1] then
        make(KEYS[i])
    elseif not is_sound(found[2], now) then
        redis.call('HSET', KEYS[i], ARGV[i + 3], text(now))
        replaced = replaced + 1
    end
end
return {now, replaced}
