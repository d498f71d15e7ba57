-- Gives back what a stock worker held that is dead.
--
-- KEYS  1 unacked, 2 unacked index, then the lists that messages are moved to
-- ARGV  for each delivery, newest first: tag, lowest and highest score that it can
--       have if it is still the dead one's ('+inf': any), 'LPUSH' or 'RPUSH', payload,
--       number of its lists (0: it is acknowledged), for each list its number in KEYS
-- Result: for each delivery 1 (done) or 0 (settled, or in another's hands).
--
-- Atomic so that it goes back once, whoever else restores it: several of us, or a
-- stock worker's sweep.

local result, i = {}, 1
while i <= #ARGV do
  local tag, lists = ARGV[i], tonumber(ARGV[i + 5])
  local score = redis.call('ZSCORE', KEYS[2], tag)
  local his = score and tonumber(score) >= tonumber(ARGV[i + 1]) and (ARGV[i + 2] == '+inf' or tonumber(score) <= tonumber(ARGV[i + 2]))
  if his and redis.call('HEXISTS', KEYS[1], tag) == 1 then
    for k = 1, lists do redis.call(ARGV[i + 3], KEYS[2 + tonumber(ARGV[i + 5 + k])], ARGV[i + 4]) end
    redis.call('HDEL', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
    result[#result + 1] = 1
  else
    result[#result + 1] = 0
  end
  i = i + 6 + lists
end
return result
