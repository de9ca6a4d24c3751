-- Purpose: prolongs a lease that is still held; or, after it was given up, the mark that the run goes on.
-- KEYS:    1 lease
-- ARGV:    1 token, 2 duration in ms
-- Result:  1 prolonged, or somebody else holds it and the mark is there; 0 lost; -1 lost, and a key of another type was
--          removed
local now, removed = held(KEYS[1])
if removed then
    return -1
end
if now and (now.token == ARGV[1] or now.token == '-' and now.dead == ARGV[1]) then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return now and now.dead == ARGV[1] and 1 or 0
