-- Returns the records of entries, giving those that have none a first one.
--
-- KEYS  1 token, 2 records
-- ARGV  1 token, then for each entry its name and the record to begin with
-- Result: {'fenced', stored token}, or the records in the order of the entries.
--
-- Atomic because a leader that has been replaced must change nothing, and a
-- record that appears in between must not be overwritten.

local token = ARGV[1]
local stored = redis.call('GET', KEYS[1])
if stored and (#stored > #token or (#stored == #token and stored > token)) then return { 'fenced', stored } end
redis.call('SET', KEYS[1], token)
local names = {}
for i = 2, #ARGV, 2 do names[#names + 1] = ARGV[i] end
if #names == 0 then return {} end
local found, new = redis.call('HMGET', KEYS[2], unpack(names)), {}
for i = 1, #names do
  if not found[i] then
    found[i] = ARGV[2 * i + 1]
    new[#new + 1], new[#new + 2] = names[i], found[i]
  end
end
if #new > 0 then redis.call('HSET', KEYS[2], unpack(new)) end
return found
