-- A worker says that it lives. ARGV: name, host, pid, slots, busy, takes (1 or 0), keep_ms.
local name, keep_ms = ARGV[1], tonumber(ARGV[7])
redis.call('ZADD', WORKERS, now, name)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now - keep_ms)
if not is_of(WORKER_PREFIX .. name, 'hash') then redis.call('DEL', WORKER_PREFIX .. name) end
redis.call('HSET', WORKER_PREFIX .. name, 'host', ARGV[2], 'pid', ARGV[3], 'slots', ARGV[4], 'busy', ARGV[5],
  'takes', ARGV[6])
redis.call('PEXPIRE', WORKER_PREFIX .. name, keep_ms * 3)
return 1
