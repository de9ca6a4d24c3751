-- Purpose: an entry was used: its life ends a while from now, but not after the lifetime that stands in its tail (see
--          store.lua). Never shortens its life. An entry without an end gets none.
-- KEYS:    1 entry
-- ARGV:    1 how long it lives from now, in ms
-- Result:  1 prolonged; 0 nothing was changed
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    return 0
end
local wanted = tonumber(ARGV[1])
local tail = redis.pcall('GETRANGE', KEYS[1], -29, -1)
local stored, lifetime = string.match(type(tail) == 'string' and tail or '', '^(%d+)(%d%d%d%d%d%d%d%d%d%d%d%d%d)$')
if not stored or #stored ~= 16 then
    return 0
end
lifetime = tonumber(lifetime)
if lifetime > 0 then
    local time = redis.call('TIME')
    local age = tonumber(time[1]) * 1000 + math.ceil(tonumber(time[2]) / 1000) - math.floor(tonumber(stored) / 1000)
    if age < 0 then
        return 0
    end
    wanted = math.min(wanted, lifetime - age)
end
if wanted <= left then
    return 0
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', wanted))
return 1
