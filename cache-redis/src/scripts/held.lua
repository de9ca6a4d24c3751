-- Shared by the scripts that deal with a lease; put in front of them. A lease is a string:
--   <token> <duration> <dead run>
-- token:    of the run that holds it; '-' if it is free
-- duration: how long the holder asked for, in ms
-- dead run: token of a run that gave the lease up, as its result is of no use, and still goes on; '-' if there is none.
--           While there is one, the holder can't give the lease up as well: so no third run begins beside them.
-- At its end stand, each if it is so: '~' if the lease before this one was given back by a run that has left nothing; '?' if
-- the holder is to give it up once the dead run has ended; '!' once somebody waits who has to be woken by a message.

-- What a command that reads a string answers. A key of another type, whoever wrote it, is removed: then the second result
-- is true, and the first one false.
local function text(command, key, ...)
    local reply = redis.pcall(command, key, ...)
    if type(reply) ~= 'table' then
        return reply, false
    end
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
        redis.call('DEL', key)
        return false, true
    end
    return redis.call(command, key, ...), false -- raises the error
end

-- The lease, if there is one; and whether its key was of another type, and is removed. Anyone may write anything: what
-- isn't readable counts as held by someone who didn't say for how long.
local function held(key)
    local value, removed = text('GET', key)
    if not value then
        return nil, removed
    end
    local duration, dead, unstored, leaving = string.match(value, '^[^ !]+ (%d+) ([^ !?~]+)(~?)(%??)!?$')
    return {
        token = string.sub(string.match(value, '^[^ !]*'), 1, 64),
        duration = tonumber(duration),
        dead = dead or '-',
        unstored = unstored == '~',
        leaving = leaving == '?',
        told = string.sub(value, -1) == '!',
    }, false
end

local function lease(token, duration, dead, unstored)
    return string.format('%s %.0f %s', token, duration, dead) .. (unstored and '~' or '')
end

-- Changes what the lease says, and leaves its end as it is. Without memory left it stays as it was.
local function rewrite(key, now)
    local flags = (now.leaving and '?' or '') .. (now.told and '!' or '')
    redis.pcall('SET', key, lease(now.token, now.duration, now.dead, now.unstored) .. flags, 'KEEPTTL')
end

-- Wakes those who wait for the holder: by the deletion, or by a message if one was asked for.
local function wake(key, before, channel, message)
    redis.call('DEL', key)
    if before.told then
        redis.call('PUBLISH', channel, message)
    end
end

-- Ends the holder's right, and wakes those who wait. `dead` is the run that goes on, or '-'; `unstored` says that the
-- holder's has left nothing. Without memory left neither is marked.
local function let_go(key, before, dead, unstored, channel, message)
    wake(key, before, channel, message)
    if before.duration and (dead ~= '-' or unstored) then
        redis.pcall('SET', key, lease('-', before.duration, dead, unstored), 'PX', string.format('%.0f', before.duration))
    end
end
