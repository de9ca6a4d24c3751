-- Purpose: takes the lease of a key, unless another entry was stored since the caller looked, or someone holds it.
--          A holder's token ends with '!' once somebody waits who doesn't get keyspace notifications.
-- KEYS:    1 entry, 2 lease
-- ARGV:    1 the first 8 bytes of the entry the caller saw (zeros for none), 2 token of the caller, 3 duration in ms,
--          4 '1' if the caller must be woken by a message
-- Result:  1 granted; 0 another entry is there; else {token of the holder, remaining ms}
local found = redis.call('GETRANGE', KEYS[1], 0, 7)
if found ~= '' and found .. string.rep('\0', 8 - #found) ~= ARGV[1] then
    return 0
end
local held = redis.call('GET', KEYS[2])
if not held then
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    return 1
end
local token = string.gsub(held, '!$', '')
if token == ARGV[2] then
    return 1
end
if ARGV[4] == '1' and token == held then
    redis.pcall('APPEND', KEYS[2], '!')
end
return {token, redis.call('PTTL', KEYS[2])}
