-- Asks the worker that runs a job to kill itself: the recovery drill. Answers 1, or 0 when nobody runs it.
local job = redis.call('HMGET', job_key(job_id), 'state', 'owner')
if job[1] ~= 'running' then return 0 end
redis.call('SET', DRILL_PREFIX .. job[2], '1', 'PX', kept_ms)
return 1
