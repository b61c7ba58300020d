#!lua flags=allow-oom
-- KEYS[1]: the record. ARGV: format, grant, expected stamp or '' for no record, new stamp, new bytes, channel.
-- Answers: whether it was written, and before that what `read.lua` answers.
-- With `allow-oom`: at `maxmemory` the only copy of a live refresh token still gets in.
local found = redis.call('HMGET', KEYS[1], 'f', 'k', 'v', 'b', 'r')
local there = redis.call('EXISTS', KEYS[1])
local info = redis.call('INFO', 'replication')
local history = string.match(info, 'master_replid:(%x+)') or ''
local role = string.match(info, 'role:(%a+)') or ''
local met
if ARGV[3] == '' then
  met = there == 0
else
  met = found[1] == ARGV[1] and found[2] == ARGV[2] and found[3] == ARGV[3] and found[4]
end
if met then
  -- Also where `replica-read-only no` lets it write: its master's next copy would undo that.
  if role ~= 'master' then return redis.error_reply('READONLY it is a replica') end
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'k', ARGV[2], 'v', ARGV[4], 'b', ARGV[5], 'r', history)
  -- Not `call`: an error now would deny a write that has happened, and nobody relies on the message.
  redis.pcall('PUBLISH', ARGV[6], ARGV[4])
end
return {
  there,
  found[1], found[2], found[3], found[4], found[5],
  history,
  role,
  select(2, string.gsub(info, 'state=online', '')),
  met and 1 or 0,
}
