-- Purpose: places a hold, or renews it; one that was lost is placed again. It is a numbered invalidation, of a tag that nobody
--          carries: so a failover that loses the hold is noticed, as it loses a number.
-- KEYS:    1 clock, 2 the bucket of that tag
-- ARGV:    1 to 4 see clock.lua, 5 id of the caller, 6 token, 7 duration in ms, 8 the tag that nobody carries, 9 the tags that
--          are held (8 bytes each)
-- Result:  {the number, 1 if the hold was there}; {-1, 0} if there is no clock; {-1, the clock} if it went back behind ARGV[1]
--          (then nothing was changed)
local now = clock_for_caller()
if not now then
    return {-1, clock() or 0}
end
now = settle(now) + 1
local was_there = redis.call('ZSCORE', HOLDS, ARGV[6])
redis.call('ZADD', HOLDS, text(milliseconds() + math.min(tonumber(ARGV[7]), LONGEST)), ARGV[6])
if ask('HLEN', HELD) == nil then
    redis.call('UNLINK', HELD)
end
redis.call('HSET', HELD, ARGV[6], ARGV[9])
redis.call('SET', KEYS[1], text(now))
record_all(ARGV[5], now, ARGV[8])
return {now, was_there and 1 or 0}
