-- A worker says goodbye. ARGV: name.
redis.call('ZREM', WORKERS, ARGV[1])
redis.call('DEL', WORKER_PREFIX .. ARGV[1])
return 1
