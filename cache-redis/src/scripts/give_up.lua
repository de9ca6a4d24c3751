-- Purpose: lets another run begin beside the holder's, whose result is known to be of no use; if there is one beside it
--          already that has done the same, once that has ended.
-- KEYS:    1 lease
-- ARGV:    1 token, 2 wake channel, 3 wake message
-- Result:  1 given up, or it will be; 0 it was lost before; -1 it was lost, and a key of another type was removed
local now, removed = held(KEYS[1])
if removed then
    return -1
end
if not now or now.token ~= ARGV[1] then
    return 0
end
if now.dead == '-' then
    let_go(KEYS[1], now, ARGV[1], false, ARGV[2], ARGV[3])
else
    now.leaving = true
    rewrite(KEYS[1], now)
end
return 1
