-- Events of an owner, fenced. ARGV: id, owner, attempt, then pairs of type and data (JSON).
-- Answers 1, or 0 when the lease is another's: then nothing is written.
local id, owner, attempt = ARGV[1], ARGV[2], ARGV[3]
if not holds(id, owner, attempt) then return 0 end
for i = 4, #ARGV, 2 do
  local kind, data = ARGV[i], ARGV[i + 1]
  emit(id, kind, data)
  if kind == 'progress' then
    redis.call('HSET', job_key(id), 'progress', data, 'progress_attempt', attempt)
  elseif kind == 'checkpoint' then
    local step = cjson.decode(data).step
    if step > number(id, 'checkpoint_step') then
      redis.call('HSET', job_key(id), 'checkpoint_step', step, 'barren', 0, 'setbacks', 0)
    end
    redis.call('HDEL', job_key(id), 'checkpoint_failure')
  elseif kind == 'checkpoint-failed' then
    redis.call('HSET', job_key(id), 'checkpoint_failure', data)
  end
end
return 1
