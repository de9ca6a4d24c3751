-- Purpose: gives a lease back, and wakes those who wait for a message.
-- KEYS:    1 lease
-- ARGV:    1 token, 2 wake channel, 3 wake message
-- Result:  1 given back; 0 it was lost before
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] and held ~= ARGV[1] .. '!' then
    return 0
end
redis.call('DEL', KEYS[1])
if held ~= ARGV[1] then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1
