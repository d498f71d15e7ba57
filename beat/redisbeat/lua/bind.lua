-- Registers a binding of a queue that expires, as kombu 5.7 does.
--
-- KEYS  1 bindings of the exchange, 2 deadlines of bindings
-- ARGV  1 the binding, 2 the exchange, 3 ms until the deadline
-- Result: 1.
--
-- A script because the deadline is counted by the server's clock.

redis.call('SADD', KEYS[1], ARGV[1])
local t = redis.call('TIME')
redis.call('ZADD', KEYS[2], 'GT', t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[3]), ARGV[2])
return 1
