-- Purpose: reads the clock, re-creating it if it was lost, and makes sure that the named tag buckets exist, so that an
--          entry with this stamp isn't born dead. A bucket that was lost comes back with the floor at the clock: what
--          was stored before is dead. Without buckets it does so by a write that changes nothing, which a primary that
--          has become a replica refuses.
-- KEYS:    1 clock, 2.. buckets (may be none)
-- ARGV:    1 the greatest clock value the caller has seen
-- Result:  the clock; -1 if it went back behind ARGV[1] (then nothing was changed)
local least = tonumber(ARGV[1])
local now = clock()
if not now then
    now = fresh_clock(least)
    redis.call('SET', KEYS[1], text(now))
elseif now < least then
    return -1
elseif #KEYS == 1 then
    redis.call('PERSIST', KEYS[1])
end
for i = 2, #KEYS do
    if redis.call('HEXISTS', KEYS[i], 'floor') == 0 then
        redis.call('DEL', KEYS[i])
        redis.call('HSET', KEYS[i], 'floor', text(now))
    end
end
return now
