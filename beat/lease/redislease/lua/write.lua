-- Puts a new record in the place of the one that the writer has read.
--
-- KEYS  1 the record
-- ARGV  1 the record as it was read, '' when there was none; 2 the new one
-- Result: 1 when it was written, 0 when the record has changed.
--
-- Atomic so that of several candidates who have all seen the same record one wins.

local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
