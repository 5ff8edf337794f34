-- A worker says that it lives.
local key = WORKER_PREFIX .. name
redis.call('ZADD', WORKERS, now, name)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now - silent_ms)
if not is_of(key, 'hash') then redis.call('DEL', key) end
redis.call('HSET', key, 'host', host, 'pid', pid, 'slots', slots, 'busy', busy, 'takes', takes and 1 or 0)
redis.call('PEXPIRE', key, silent_ms * 3)
return 1
