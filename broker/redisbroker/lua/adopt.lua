-- Restores, or takes over, a page of what a dead worker held.
--
-- KEYS  1 presence, 2 unacked, 3 unacked index, 4 owners, then the lists that
--       messages are moved to
-- ARGV  1 dead worker's id, 2 our id, 3 '1' when the dead must be listed as
--       expired, '0' for leftovers of our own; then for each delivery, newest
--       first: tag, owner value as read, number of the list in KEYS, payload
-- Result: -1 alone when the worker is alive again, else the number of restored
--       ones, then positions (from 0) of those that are now ours.
--
-- Atomic so that of any number of peers at work on the same dead one exactly
-- one restores each delivery, and none when it comes back to life.

local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[3] == '1' then
  local t = redis.call('TIME')
  if not expiry or tonumber(expiry) > math.floor(t[1] * 1000 + t[2] / 1000) then return { -1 } end
end
local result = { 0 }
for i = 4, #ARGV, 4 do
  local tag, owner = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', KEYS[4], tag) == owner then
    -- What was begun in the moment of taking, by a take of ours whose answer was
    -- lost, has not begun.
    local begun = string.sub(owner, -1)
    local early = begun == '!' or (begun == '=' and ARGV[3] == '1')
    local score = redis.call('ZSCORE', KEYS[3], tag)
    local garbage = string.sub(tag, 1, 16) == 'crisper-garbage:'
    local there = redis.call('HEXISTS', KEYS[2], tag) == 1
    -- A score from after its death is that of a stock worker, which has
    -- restored and taken it since; one without a score was restored.
    local his = early or garbage or begun == '=' or (score and (ARGV[3] == '0' or tonumber(score) * 1000 <= tonumber(expiry)))
    if not there or not his then
      redis.call('HDEL', KEYS[4], tag)
    elseif early then
      redis.call('HSET', KEYS[4], tag, ARGV[2] .. '!')
      result[#result + 1] = (i - 4) / 4
    else
      redis.call('RPUSH', KEYS[4 + tonumber(ARGV[i + 2])], ARGV[i + 3])
      redis.call('HDEL', KEYS[2], tag)
      redis.call('HDEL', KEYS[4], tag)
      redis.call('ZREM', KEYS[3], tag)
      result[1] = result[1] + 1
    end
  end
end
return result
