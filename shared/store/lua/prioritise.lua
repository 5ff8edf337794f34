-- Changes a job's priority; a queued one moves in the queue at once. ARGV: id, priority.
local id, priority = ARGV[1], ARGV[2]
if redis.call('EXISTS', job_key(id)) == 0 then return 'missing' end
redis.call('HSET', job_key(id), 'priority', priority)
if redis.call('ZSCORE', READY, id) then redis.call('ZADD', READY, rank(id), id) end
return field(id, 'state')
