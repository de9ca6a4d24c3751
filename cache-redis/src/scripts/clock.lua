-- Shared by the scripts that use the clock; put in front of them. KEYS[1] is the clock, ARGV[1] the greatest value of it
-- that a server has told the caller. The rules of the clock are in sequence.rs.

-- The clock, and all numbers of invalidations, are below. Also in sequence.rs.
local END = 4503599627370496

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
