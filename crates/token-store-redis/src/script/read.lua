#!lua flags=no-writes,allow-oom
-- KEYS[1]: the record. The second flag is for Redis 7.0.0, which otherwise reads nothing at `maxmemory`.
-- Answers: whether there is a key, its five fields, the server's history, its role, how many
-- replicas are online.
local found = redis.call('HMGET', KEYS[1], 'f', 'k', 'v', 'b', 'r')
local info = redis.call('INFO', 'replication')
return {
  redis.call('EXISTS', KEYS[1]),
  found[1], found[2], found[3], found[4], found[5],
  string.match(info, 'master_replid:(%x+)') or '',
  string.match(info, 'role:(%a+)') or '',
  select(2, string.gsub(info, 'state=online', '')),
}
