-- Purpose: pushes forward a clock that went back (a failover that lost writes), and forgets all tag buckets: what was
--          stored before is dead, also what holds stamps that the lost part of the order has given out.
-- KEYS:    1 clock, 2.. all buckets
-- ARGV:    1 the greatest clock value the caller has seen, 2 bus channel, 3 id of the caller
-- Result:  the clock
local least = tonumber(ARGV[1])
local now = clock()
if now and now >= least then
    return now
end
now = fresh_clock(least)
for i = 2, #KEYS do
    redis.call('DEL', KEYS[i])
end
redis.call('SET', KEYS[1], text(now))
redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. text(now) .. ' ')
return now
