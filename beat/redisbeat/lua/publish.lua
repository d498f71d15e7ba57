-- Sends a batch of ticks, each at most once, and records them.
--
-- KEYS  1 token, 2 records, then the lists that messages are pushed on or whose
--       lifetime is renewed
-- ARGV  1 token, 2 number of ticks; for each tick: entry, due moment in us, the rest
--       of its record, number of places, for each place 'L' and the number of the
--       list in KEYS or 'C' and a channel, the payload; then pairs of the number of
--       a list in KEYS and its lifetime in ms
-- Result: {'fenced', stored token}, or for each tick 'P' sent, 'U' no place, 'A'
--       and the record that was not older, 'E' and why no place took it.
--
-- Atomic because the question "has it been sent?" must hold until it is, and
-- because a tick that is sent but not recorded, or recorded but not sent, is
-- doubled or missed when the process or the connection ends there.

local token = ARGV[1]
local stored = redis.call('GET', KEYS[1])
-- Decimal texts are compared as such: Lua's numbers end at 2^53.
if stored and (#stored > #token or (#stored == #token and stored > token)) then return { 'fenced', stored } end
-- The first write, and without a pcall: a server that takes no writes (full, a
-- replica) refuses here, before anything is done.
redis.call('SET', KEYS[1], token)

local n = tonumber(ARGV[2])
local ticks, names, at = {}, {}, 3
for i = 1, n do
  local places = tonumber(ARGV[at + 3])
  ticks[i] = at
  names[i] = ARGV[at]
  at = at + 5 + places
end
if n == 0 then return {} end
local found = redis.call('HMGET', KEYS[2], unpack(names))

local last, result, wrote = {}, {}, {}
local pushes, order, channels = {}, {}, {}
for i = 1, n do
  local a = ticks[i]
  local entry, due, places = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 3])
  local moment = last[entry]
  if not moment and found[i] then moment = tonumber(string.match(found[i], '^%-?%d+')) end
  if moment and moment >= tonumber(due) then
    result[i] = 'A' .. (last[entry] and '' or found[i])
  else
    last[entry] = tonumber(due)
    wrote[#wrote + 1], wrote[#wrote + 2] = entry, due .. ' ' .. ARGV[a + 2]
    result[i] = places == 0 and 'U' or 'P'
    for p = a + 4, a + 3 + places do
      local kind, where = string.sub(ARGV[p], 1, 1), string.sub(ARGV[p], 2)
      if kind == 'C' then
        channels[#channels + 1] = { where, ARGV[a + 4 + places], i }
      else
        local list = pushes[where]
        if not list then
          list = { payloads = {}, from = {} }
          pushes[where] = list
          order[#order + 1] = where
        end
        list.payloads[#list.payloads + 1], list.from[#list.from + 1] = ARGV[a + 4 + places], i
      end
    end
  end
end

-- A place that cannot take messages (its key is no list) must not hold up the
-- others; a tick that no place took is told apart from one that some took.
local took, failed = {}, {}
local function note(answer, i)
  if type(answer) == 'table' and answer.err then failed[i] = answer.err else took[i] = true end
end
for k = 1, #order do
  local list = pushes[order[k]]
  local answer = redis.pcall('LPUSH', KEYS[tonumber(order[k])], unpack(list.payloads))
  for j = 1, #list.from do note(answer, list.from[j]) end
end
for k = 1, #channels do
  note(redis.pcall('PUBLISH', channels[k][1], channels[k][2]), channels[k][3])
end
for i, why in pairs(failed) do
  if not took[i] then result[i] = 'E' .. why end
end
if #wrote > 0 then redis.call('HSET', KEYS[2], unpack(wrote)) end
while at < #ARGV do
  redis.call('PEXPIRE', KEYS[tonumber(ARGV[at])], ARGV[at + 1])
  at = at + 2
end
return result
