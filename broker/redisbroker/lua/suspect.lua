-- Gives workers that own deliveries but are not listed (the presence was lost in
-- a failover) a last period to show themselves.
--
-- KEYS  1 presence
-- ARGV  1 presence in ms, then worker ids
--
-- Atomic: NX keeps the expiry of those that are listed.

local t = redis.call('TIME')
local expiry = math.floor(t[1] * 1000 + t[2] / 1000) + tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', expiry, ARGV[i]) end
return 0
