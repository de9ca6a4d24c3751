-- Purpose: makes a clock where it is lost, damaged or behind the caller (a failover that lost writes), and forgets all tag
--          buckets: what was stored before is dead, also what holds stamps that a lost part of the order has given out.
--          The new clock is the server's time in microseconds, or later than what is known, if that is more. What the
--          caller knows far beyond the server's time and clock isn't believed: a clock that was overwritten told it.
--          Where nothing but the clock is lost, and the server's time is later than all that is known of it, the buckets
--          stay: they have everything that was invalidated. So do the holds wherever the clock is only missing; otherwise
--          the server has lost writes, perhaps holds too, and the set of holds counts as lost.
--          Out of memory, a clock that went back is deleted with all buckets; others stay as they are.
-- KEYS:    1 clock, 2.. all buckets
-- ARGV:    1 the value that the clock should have reached, 2 to 4 see clock.lua, 5 id of the caller, 6 how far the new clock
--          is ahead of what is known, 7 how far beyond the server is too far
-- Result:  {the clock, why it had to be made}, with why: 0 it had not; 1 it was lost; 2 it was behind; 3 something else was
--          there; 4 the caller is too far ahead. Out of memory {0, why}
local LOST, BEHIND, DAMAGED, TOO_FAR = 1, 2, 3, 4
local least, margin = number(ARGV[1]) or 0, tonumber(ARGV[6])
local now, damaged = clock()
if now and now >= least then
    return {now, 0}
end
local time = redis.call('TIME')
time = tonumber(time[1]) * 1000000 + tonumber(time[2])

local base, why = now or 0, now and BEHIND or damaged and DAMAGED or LOST
if least > math.max(base, time) + tonumber(ARGV[7]) then
    why = now and TOO_FAR or why
else
    base = math.max(base, least)
end
local fresh = base + margin
if time < END and (time > fresh or fresh >= END) then
    fresh = time
elseif fresh >= END then
    fresh = margin
end

local made = redis.pcall('SET', KEYS[1], text(fresh))
if made.err then
    if not string.find(made.err, 'OOM', 1, true) then
        return made
    end
    if not now then
        return {0, why}
    end
    redis.call('UNLINK', KEYS[1])
    fresh = 0
end
if why ~= LOST or least == 0 or fresh ~= time or time <= least + margin then
    for i = 2, #KEYS do
        redis.call('UNLINK', KEYS[i]) -- it may be huge
    end
end
if why ~= LOST then
    redis.call('UNLINK', HOLDS, HELD)
end
publish(ARGV[5], fresh, '')
return {fresh > 0 and settle(fresh) or 0, why}
