-- Drops the records of entries that are no more.
--
-- KEYS  1 token, 2 records
-- ARGV  1 token, then the names
-- Result: {'fenced', stored token}, or {}.
--
-- Atomic because a leader that has been replaced must drop nothing.

local token = ARGV[1]
local stored = redis.call('GET', KEYS[1])
if stored and (#stored > #token or (#stored == #token and stored > token)) then return { 'fenced', stored } end
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
return {}
