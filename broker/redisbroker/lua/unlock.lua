-- Releases kombu's mutex if it is still ours.
--
-- KEYS  1 mutex
-- ARGV  1 our token
--
-- Atomic because it may have expired and be somebody else's.

if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
