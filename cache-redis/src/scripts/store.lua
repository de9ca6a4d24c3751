-- Purpose: writes an entry if the lease is still held, and gives the lease back, also if the write was refused.
-- KEYS:    1 entry, 2 lease
-- ARGV:    1 token, 2 wake channel, 3 wake message, 4 lifetime in ms ('' for ever, '0' not at all), 5 the entry
-- Result:  1 written; 0 the lease was lost, nothing was changed; or the error of the write
local held = redis.call('GET', KEYS[2])
if held ~= ARGV[1] and held ~= ARGV[1] .. '!' then
    return 0
end
local written
if ARGV[4] == '' then
    written = redis.pcall('SET', KEYS[1], ARGV[5])
elseif ARGV[4] == '0' then
    written = redis.pcall('DEL', KEYS[1])
else
    written = redis.pcall('SET', KEYS[1], ARGV[5], 'PX', ARGV[4])
end
redis.call('DEL', KEYS[2])
if held ~= ARGV[1] then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
end
if type(written) == 'table' and written.err then
    return written
end
return 1
