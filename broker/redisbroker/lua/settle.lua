-- Carries out a batch of verdicts, and does nothing to deliveries that are not
-- this worker's any more.
--
-- KEYS  1 unacked, 2 unacked index, 3 owners, 4 presence, then the lists that
--       messages are moved to
-- ARGV  1 worker id, 2 presence in ms, 3..6 numbers of tags to end, accept,
--       begin and move, then all these tags in this order, then for each move
--       'LPUSH' or 'RPUSH', the number of the list in KEYS, the payload
-- Result: positions (from 0) of the tags that were not ours.
--
-- Atomic because the question "is it ours?" must hold until the answer is used:
-- a peer may be restoring the same delivery.

local id = ARGV[1]
local ends, accepts, begins, moves = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local total = ends + accepts + begins + moves
local tags = {}
for i = 1, total do tags[i] = ARGV[6 + i] end

local owner = redis.call('HMGET', KEYS[3], unpack(tags))
local late, early, started = id .. '+', id .. '!', id .. '='
for i = 1, total do
  if owner[i] == started then owner[i] = early end -- begun is begun
end

-- Accepted ones have left the index, and they are most of all: only the others
-- are looked up there.
local score, asked, at = {}, {}, {}
for i = 1, total do
  if owner[i] == id or owner[i] == late then asked[#asked + 1], at[#at + 1] = tags[i], i end
end
if #asked > 0 then
  local scores = redis.call('ZMSCORE', KEYS[2], unpack(asked))
  for k = 1, #asked do score[at[k]] = scores[k] end
end

-- What stock workers restored has left the index, but they know no owners.
local function ours(i)
  local o = owner[i]
  if o == early then return true end
  return (o == id or o == late) and (score[i] or string.sub(tags[i], 1, 16) == 'crisper-garbage:')
end

local gone, hash, indexed, index, stale, set = {}, {}, {}, {}, {}, {}
for i = 1, total do
  local tag = tags[i]
  if not ours(i) then
    gone[#gone + 1] = i - 1
    if owner[i] == id or owner[i] == late then stale[#stale + 1] = tag end
  elseif i <= ends then
    hash[#hash + 1] = tag
    if owner[i] ~= early then indexed[#indexed + 1] = tag end
  elseif i <= ends + accepts then
    index[#index + 1] = tag
    set[#set + 1], set[#set + 2] = tag, early
  elseif i <= ends + accepts + begins then
    set[#set + 1], set[#set + 2] = tag, late
  else
    local at = 6 + total + 3 * (i - total + moves - 1)
    redis.call(ARGV[at + 1], KEYS[4 + tonumber(ARGV[at + 2])], ARGV[at + 3])
    hash[#hash + 1] = tag
    if owner[i] ~= early then indexed[#indexed + 1] = tag end
  end
end
if #hash > 0 then
  redis.call('HDEL', KEYS[1], unpack(hash))
  redis.call('HDEL', KEYS[3], unpack(hash))
end
if #indexed > 0 then redis.call('ZREM', KEYS[2], unpack(indexed)) end
if #index > 0 then redis.call('ZREM', KEYS[2], unpack(index)) end
if #stale > 0 then redis.call('HDEL', KEYS[3], unpack(stale)) end
if #set > 0 then
  redis.call('HSET', KEYS[3], unpack(set))
  -- A peer that finds us expired must not restore what is only now begun.
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[4], math.floor(t[1] * 1000 + t[2] / 1000) + tonumber(ARGV[2]), id)
end
return gone
