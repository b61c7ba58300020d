#!lua flags=allow-oom
-- KEYS[1]: the record, KEYS[2]: where it is kept. ARGV: format, grant, new stamp, new bytes, channel, and the five fields
-- that were judged, each as '-' for none or '+' and its value.
-- Answers 1 if what was judged was still there: its copy has another name, and the new record is in its place.
local found = redis.call('HMGET', KEYS[1], 'f', 'k', 'v', 'b', 'r')
for n = 1, 5 do
  if (found[n] and '+' .. found[n] or '-') ~= ARGV[5 + n] then return 0 end
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local info = redis.call('INFO', 'replication')
-- As in `swap.lua`.
if not string.find(info, 'role:master') then return redis.error_reply('READONLY it is a replica') end
local history = string.match(info, 'master_replid:(%x+)') or ''
-- A copy, and the same key goes on: should a right be missing half way, the record is still there.
redis.call('COPY', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'f', ARGV[1], 'k', ARGV[2], 'v', ARGV[3], 'b', ARGV[4], 'r', history)
redis.pcall('PUBLISH', ARGV[5], ARGV[3])
return 1
