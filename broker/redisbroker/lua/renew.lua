-- Renews what a worker has in hand, so that no sweep finds it too old.
--
-- KEYS  1 unacked index, 2 owners
-- ARGV  1 worker id, 2 the score that each delivery had at most when this worker
--       last wrote it, or '' not to ask; then tags in the order of taking
-- Result: the new score of the first, then positions (from 0) of tags not ours.
--
-- Atomic for the same reason as settle. Scores grow by a microsecond from tag
-- to tag, so that whoever restores them keeps their order.

local id, newest = ARGV[1], tonumber(ARGV[2])
local tags = {}
for i = 3, #ARGV do tags[i - 2] = ARGV[i] end
local owner = redis.call('HMGET', KEYS[2], unpack(tags))
local score = redis.call('ZMSCORE', KEYS[1], unpack(tags))
local t = redis.call('TIME')
local now, micros = tonumber(t[1]), tonumber(t[2])
local result, index, stale = { string.format('%.6f', now + micros / 1e6) }, {}, {}
for i = 1, #tags do
  local o, s = owner[i], score[i] and tonumber(score[i])
  local reserved = o == id or o == id .. '+'
  if o == id .. '!' or o == id .. '=' or (reserved and string.sub(tags[i], 1, 16) == 'crisper-garbage:') then
    -- not in the index, and nobody else's to restore
  elseif reserved and s and (not newest or s <= newest) then
    index[#index + 1] = string.format('%.6f', now + (micros + i - 1) / 1e6)
    index[#index + 1] = tags[i]
  else
    result[#result + 1] = i - 1
    if reserved then stale[#stale + 1] = tags[i] end
  end
end
if #index > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(index)) end
if #stale > 0 then redis.call('HDEL', KEYS[2], unpack(stale)) end
return result
