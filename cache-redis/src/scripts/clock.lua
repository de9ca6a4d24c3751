-- Shared by the scripts that need the clock; put in front of them. KEYS[1] is the clock, ARGV[1] the greatest value the
-- caller has ever seen of it.

-- A Lua number as Redis wants it: tostring() would say 1.7e+15.
local function text(number)
    return string.format('%.0f', number)
end

-- The clock, or nil if it was lost or is no number.
local function clock()
    return tonumber(redis.call('GET', KEYS[1]) or nil)
end

-- A value for a clock that was lost: the server's time in microseconds, so that it is later than all it ever was.
local function fresh_clock(least)
    local time = redis.call('TIME')
    return math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), least + 1)
end
