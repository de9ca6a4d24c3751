-- Purpose: writes an entry if the lease is still held, and gives the lease back, also if the write was refused. Behind the
--          entry it writes the server's time in microseconds (16 digits) and the lifetime in ms (13; zeros for ever), so
--          that whoever reads it can tell its age without asking; and both once more, as no checksum covers them.
-- KEYS:    1 entry, 2 lease
-- ARGV:    1 token, 2 wake channel, 3 wake message, 4 lifetime in ms ('' for ever, '0' not at all), 5 the entry, 6 how long it
--          lives without being touched, in ms ('' for no limit): see touch.lua
-- Result:  1 written; 0 the lease was lost, nothing was changed; -1 the same, and a key of another type was removed; or the
--          error of the write
local now, removed = held(KEYS[2])
if removed then
    return -1
end
if not now or now.token ~= ARGV[1] then
    return 0
end
local time = redis.call('TIME')
local tail = string.format('%010.0f%06.0f%013.0f', time[1], time[2], tonumber(ARGV[4]) or 0)
local entry = ARGV[5] .. tail .. tail
local ends, idle = ARGV[4], tonumber(ARGV[6] or '')
if idle and (ends == '' or idle < tonumber(ends)) then
    ends = ARGV[6]
end
local written
if ARGV[4] == '0' then
    written = redis.pcall('DEL', KEYS[1])
elseif ends == '' then
    written = redis.pcall('SET', KEYS[1], entry)
else
    written = redis.pcall('SET', KEYS[1], entry, 'PX', ends)
end
let_go(KEYS[2], now, now.dead, false, ARGV[2], ARGV[3])
if type(written) == 'table' and written.err then
    return written
end
return 1
