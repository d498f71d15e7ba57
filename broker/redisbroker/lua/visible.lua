-- Restores deliveries that are older than the visibility timeout, as kombu's
-- restore_visible does (kombu/transport/redis.py).
--
-- KEYS  1 unacked, 2 unacked index, 3 owners, then the lists that messages are
--       moved to
-- ARGV  for each delivery, newest first: tag, score as read, number of its lists
--       (0: the payload is gone), for each list its number in KEYS; then the payload
-- Result: how many were restored.
--
-- Atomic because the holder may have renewed or settled it since it was read.

local restored, i = 0, 1
while i <= #ARGV do
  local tag, score, lists = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local payload = ARGV[i + 3 + lists]
  local now = redis.call('ZSCORE', KEYS[2], tag)
  if now and tonumber(now) == tonumber(score) then
    local there = redis.call('HEXISTS', KEYS[1], tag) == 1
    if there and lists > 0 then
      for k = 1, lists do redis.call('RPUSH', KEYS[3 + tonumber(ARGV[i + 2 + k])], payload) end
      redis.call('HDEL', KEYS[1], tag)
      redis.call('HDEL', KEYS[3], tag)
      redis.call('ZREM', KEYS[2], tag)
      restored = restored + 1
    elseif not there then
      redis.call('ZREM', KEYS[2], tag)
      redis.call('HDEL', KEYS[3], tag)
    end
  end
  i = i + 4 + lists
end
return restored
