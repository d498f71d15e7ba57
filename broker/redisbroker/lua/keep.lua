-- Renews deliveries that a stock worker has in hand.
--
-- KEYS  1 unacked index
-- ARGV  for each delivery: tag, lowest and highest score that it can have if it is
--       still the worker's ('+inf': any), new score
-- Result: for each delivery 1 (renewed), 0 (in nobody's hands) or -1 (in another's).
--
-- Atomic because it may be restored, and taken by another, between question and
-- answer. ZSCORE and not ZMSCORE: stock workers run on servers older than 6.2.

local result = {}
for i = 1, #ARGV, 4 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  local n = #result + 1
  if not score then
    result[n] = 0
  elseif tonumber(score) < tonumber(ARGV[i + 1]) or (ARGV[i + 2] ~= '+inf' and tonumber(score) > tonumber(ARGV[i + 2])) then
    result[n] = -1
  else
    redis.call('ZADD', KEYS[1], ARGV[i + 3], ARGV[i])
    result[n] = 1
  end
end
return result
