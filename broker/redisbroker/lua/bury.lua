-- Forgets a worker whose deliveries have all been seen to.
--
-- KEYS  1 presence
-- ARGV  1 its id
--
-- Atomic because it may have come back to life.

local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
local t = redis.call('TIME')
if expiry and tonumber(expiry) <= math.floor(t[1] * 1000 + t[2] / 1000) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
