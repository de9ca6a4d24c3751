-- Purpose: takes the lease of a key, unless another entry was stored since the caller looked, or someone holds it. Who is
--          to replace what is there takes it in any case: the holder has lost it, and those who wait for it are woken. A lease
--          that would stand for longer than it was asked for (without an end, or the server's clock was set back) gets an
--          end: the duration that its holder asked for, or the caller's if that isn't known or ten times as long.
-- KEYS:    1 entry, 2 lease
-- ARGV:    1 the first 8 bytes of the entry the caller saw (zeros for none), 2 token of the caller, 3 duration in ms,
--          4 '1' if the caller must be woken by a message, 5 '1' to take it over, 6 wake channel, 7 wake message
-- Result:  1 granted; 2 granted, and a key of another type was removed; 3 granted, and the run before has left nothing; 0
--          another entry is there; else {token of the holder, remaining ms, 1 if the run before it has left nothing}
local takes_over = ARGV[5] == '1'
local found, removed = text('GETRANGE', KEYS[1], 0, 7)
found = found or ''
if not takes_over and found ~= '' and found .. string.rep('\0', 8 - #found) ~= ARGV[1] then
    return 0
end
local other, removed_too = held(KEYS[2])
if other and other.token == ARGV[2] then
    return other.unstored and 3 or 1
end
if other and other.token ~= '-' and takes_over then
    wake(KEYS[2], other, ARGV[6], ARGV[7])
    other.token, other.unstored = '-', false
end
if not other or other.token == '-' then
    local dead, unstored = other and other.dead or '-', other and other.unstored
    redis.call('SET', KEYS[2], lease(ARGV[2], ARGV[3], dead, unstored), 'PX', ARGV[3])
    return (removed or removed_too) and 2 or unstored and 3 or 1
end
local own = tonumber(ARGV[3])
local longest = other.duration or own
if longest < 1 or longest > 10 * own then
    longest = own
end
local left = redis.call('PTTL', KEYS[2])
if left < 0 or left > longest then
    redis.call('PEXPIRE', KEYS[2], longest)
    left = longest
end
if ARGV[4] == '1' and not other.told then
    redis.pcall('APPEND', KEYS[2], '!')
end
return {other.token, left, other.unstored and 1 or 0}
