-- Shows that a worker lives, and names those that do not.
--
-- KEYS  1 presence
-- ARGV  1 worker id, 2 presence in ms; 0 to show nothing and only look
-- Result: 1 when our own presence had not run out, then ids and expiries (ms)
--       of workers whose presence has.
--
-- Atomic so that a worker never finds itself among the dead. Only the server's
-- clock is used: those of the pods may differ.

local t = redis.call('TIME')
local now = math.floor(t[1] * 1000 + t[2] / 1000)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[2] ~= '0' then redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1]) end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 100)
table.insert(dead, 1, (mine and tonumber(mine) > now) and '1' or '0')
return dead
