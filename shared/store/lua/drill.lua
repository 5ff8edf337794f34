-- Asks the worker that runs a job to kill itself: the recovery drill. ARGV: id, keep_ms.
-- Answers 1, or 0 when nobody runs it.
local id = ARGV[1]
local job = redis.call('HMGET', job_key(id), 'state', 'owner')
if job[1] ~= 'running' then return 0 end
redis.call('SET', DRILL_PREFIX .. job[2], '1', 'PX', ARGV[2])
return 1
