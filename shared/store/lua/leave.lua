-- A worker says goodbye.
redis.call('ZREM', WORKERS, name)
redis.call('DEL', WORKER_PREFIX .. name)
return 1
