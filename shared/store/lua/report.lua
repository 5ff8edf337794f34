-- Events of an owner, fenced. Answers 'held', or 'lost' when the lease is another's: then nothing is written.
if not holds(job_id, owner, attempt) then return LOST end
for i = 1, #events, 2 do
  local kind, data = events[i], events[i + 1]
  emit(job_id, kind, data)
  if kind == 'progress' then
    redis.call('HSET', job_key(job_id), 'progress', data, 'progress_attempt', attempt)
  elseif kind == 'checkpoint' then
    local step = cjson.decode(data).step
    if step > number(job_id, 'checkpoint_step') then
      redis.call('HSET', job_key(job_id), 'checkpoint_step', step, 'barren', 0, 'setbacks', 0)
    end
    redis.call('HDEL', job_key(job_id), 'checkpoint_failure')
  elseif kind == 'checkpoint-failed' then
    redis.call('HSET', job_key(job_id), 'checkpoint_failure', data)
  end
end
return HELD
