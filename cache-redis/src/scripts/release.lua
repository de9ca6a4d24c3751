-- Purpose: the run has ended: gives its lease back, and wakes those who wait; if it gave the lease up before, takes away
--          the mark that it goes on.
-- KEYS:    1 lease
-- ARGV:    1 token, 2 wake channel, 3 wake message, 4 '1' if the run has left nothing
-- Result:  1 given back; 0 it was lost before; -1 it was lost, and a key of another type was removed
local now, removed = held(KEYS[1])
if removed then
    return -1
end
if now and now.token == ARGV[1] then
    let_go(KEYS[1], now, now.dead, ARGV[4] == '1', ARGV[2], ARGV[3])
    return 1
end
if not now or now.dead ~= ARGV[1] then
    return 0
end
if now.token == '-' and not now.unstored then
    redis.call('DEL', KEYS[1])
elseif now.leaving then
    let_go(KEYS[1], now, now.token, false, ARGV[2], ARGV[3])
else
    now.dead = '-'
    rewrite(KEYS[1], now)
end
return 1
