-- Moves up to n messages from the queues into the hands of one worker.
--
-- KEYS  1 unacked, 2 unacked index, 3 owners, 4 presence, then the lists:
--       priority by priority, within a priority the queues in cycle order
-- ARGV  1 worker id, 2 n, 3 number of queues, 4 1 = round robin, 5 presence in
--       ms, 6 how many of the first to record as begun, then for each queue the
--       text that closes its unacked value, then texts that name the tasks of
--       which those that follow are recorded as begun too, up to the first other
-- Result: score of the first message, then for each message the number of its
--       list (from 0; -1 - number when recorded as begun), its tag, its payload.
--
-- Atomic because a message that is in no key and in nobody's memory is lost
-- when the worker dies: that is the window of BRPOP followed by HSET.

local n, queues, rotate = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local find, sub, byte = string.find, string.sub, string.byte

local got, from = {}, {} -- payloads and the numbers of their lists, in kombu's order

-- The queue that served last goes to the end of the cycle, message by message
-- and across priorities, exactly as if each had been popped alone.
local function take_level(level, order)
  local left, lists, total = {}, {}, 0
  for q = 1, queues do
    left[q] = redis.call('LLEN', KEYS[4 + level * queues + q])
    total = total + left[q]
  end
  if total == 0 then return end
  local picks, count = {}, {}
  for q = 1, queues do count[q] = 0 end
  for _ = 1, math.min(total, n - #got) do
    local at = 1
    while left[order[at]] == 0 do at = at + 1 end
    local q = order[at]
    left[q], count[q] = left[q] - 1, count[q] + 1
    picks[#picks + 1] = q
    if rotate then table.remove(order, at); order[queues] = q end
  end
  for q = 1, queues do
    if count[q] > 0 then lists[q] = redis.call('RPOP', KEYS[4 + level * queues + q], count[q]) end
    count[q] = 0
  end
  for i = 1, #picks do
    local q = picks[i]
    count[q] = count[q] + 1
    got[#got + 1], from[#from + 1] = lists[q][count[q]], level * queues + q - 1
  end
end

local levels = (#KEYS - 4) / queues
if queues == 1 then
  for level = 0, levels - 1 do
    local list = redis.call('RPOP', KEYS[5 + level], n - #got)
    if list then
      for i = 1, #list do got[#got + 1], from[#from + 1] = list[i], level end
    end
    if #got >= n then break end
  end
else
  local order = {}
  for q = 1, queues do order[q] = q end
  for level = 0, levels - 1 do
    take_level(level, order)
    if #got >= n then break end
  end
end
if #got == 0 then return {} end

-- kombu always writes the delivery tag; decoding each message to read it would
-- cost more than all the rest.
local function tag_of(payload)
  local at = find(payload, '"delivery_tag"', 1, true)
  if at and byte(payload, 1) == 123 and byte(payload, -1) == 125 and not find(payload, '"delivery_tag"', at + 14, true) then
    local _, _, tag = find(payload, '^%s*:%s*"([^"\\]+)"', at + 14)
    if tag then return tag end
  end
  local ok, message = pcall(cjson.decode, payload)
  if not ok or type(message) ~= 'table' or type(message.properties) ~= 'table' then return nil end
  local tag = message.properties.delivery_tag
  if type(tag) == 'string' and tag ~= '' then return tag end
  return nil
end

-- A tag may be in hand already: people duplicate messages. Then the copy gets
-- a tag of its own, for otherwise settling one would settle both.
local tags, seen, indexed = {}, {}, {}
local function unique(tag)
  local try, k = tag, 1
  while seen[try] or redis.call('HEXISTS', KEYS[1], try) == 1 do
    k = k + 1
    try = tag .. '~' .. k
  end
  return try
end
for i = 1, #got do
  local tag = tag_of(got[i])
  indexed[i] = tag ~= nil
  tag = tag or ('crisper-garbage:' .. redis.sha1hex(got[i]))
  if seen[tag] then tag = unique(tag) end
  tags[i], seen[tag] = tag, true
end
local held = redis.call('HMGET', KEYS[3], unpack(tags))
local stock = redis.call('ZMSCORE', KEYS[2], unpack(tags))
for i = 1, #tags do
  if (held[i] or stock[i]) and redis.call('HEXISTS', KEYS[1], tags[i]) == 1 then
    tags[i] = unique(tags[i])
    seen[tags[i]] = true
  end
end

local t = redis.call('TIME')
local now, micros = tonumber(t[1]), tonumber(t[2])
-- What waits for its ETA is not begun, and neither is what is no task of Celery's.
local started, start = {}, tonumber(ARGV[6])
local named = 7 + queues
local function short(payload)
  for k = named, #ARGV do
    if find(payload, ARGV[k], 1, true) then
      ARGV[named], ARGV[k] = ARGV[k], ARGV[named] -- the next one is probably of the same
      return true
    end
  end
  return false
end
for i = 1, #got do
  if i > start and not short(got[i]) then break end
  started[i] = indexed[i] and find(got[i], '"eta": null', 1, true) ~= nil
  if i > start and not started[i] then break end
end
local hash, index, owners, result = {}, {}, {}, { string.format('%.6f', now + micros / 1e6) }
for i = 1, #got do
  local tag = tags[i]
  hash[2 * i - 1], hash[2 * i] = tag, '[' .. got[i] .. ARGV[7 + from[i] % queues]
  owners[2 * i - 1], owners[2 * i] = tag, started[i] and ARGV[1] .. '=' or ARGV[1]
  local number = started[i] and -1 - from[i] or from[i]
  result[#result + 1], result[#result + 2], result[#result + 3] = number, tag, got[i]
end
-- Garbage is kept out of the index: stock workers walk it, and one that meets a
-- payload that is no JSON fails on each sweep. The newest goes in first: a small
-- sorted set is a list whose scores, having fractions, are texts, and what is
-- inserted at its end is compared with each of them.
for i = #got, 1, -1 do
  if indexed[i] and not started[i] then
    index[#index + 1] = string.format('%.6f', now + (micros + i - 1) / 1e6)
    index[#index + 1] = tags[i]
  end
end
redis.call('HSET', KEYS[1], unpack(hash))
if #index > 0 then redis.call('ZADD', KEYS[2], unpack(index)) end
redis.call('HSET', KEYS[3], unpack(owners))
redis.call('ZADD', KEYS[4], math.floor(now * 1000 + micros / 1000) + tonumber(ARGV[5]), ARGV[1])
return result
