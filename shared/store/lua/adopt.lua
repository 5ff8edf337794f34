-- A live owner whose record was lost (a wipe, or writes lost by the server) or damaged: nothing or queued -> running.
-- Answers 'held', or 'lost' when another attempt has begun or the job has ended.
if not is_whole(job_id) then
  redis.call('DEL', job_key(job_id))
  insert(job_id, record)
  redis.call('HSET', job_key(job_id), 'wish_ms', now) -- when it was made is lost: its owner gets the whole grace
elseif field(job_id, 'state') ~= 'queued' or number(job_id, 'attempt') > attempt then
  return LOST
end
take_ready(job_id)
redis.call('ZREM', DELAYED, job_id)
redis.call('HSET', job_key(job_id), 'attempt', attempt)
take_lease(job_id, owner, lease_ms)
set_state(job_id, 'running', because('adopted'), service('worker'))
return HELD
