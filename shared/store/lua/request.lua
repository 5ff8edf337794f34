-- A person's wish (run, pause, cancel), and perhaps a new priority.
-- A queued or stopped job changes its state at once; a running one gets a flag, which its owner reads with the
-- next heartbeat or at once from the channel. Where only the priority is to change, the wish is the one that holds
-- already, and refused if it would change the state. Answers {how, state}: 'done' and the state after it, 'refused'
-- and the state that it has, or 'missing' (damaged too).
if not is_whole(job_id) then return { 'missing', '' } end
local state = field(job_id, 'state')
if wish_number < number(job_id, 'wish_number') then return { 'done', state } end

local targets = {
  queued = { run = 'queued', pause = 'paused', cancel = 'cancelled' },
  running = { run = 'running', pause = 'running', cancel = 'running' },
  paused = { run = 'queued', pause = 'paused', cancel = 'cancelled' },
  failed = { run = 'queued' },
  cancelled = { run = 'queued', cancel = 'cancelled' },
}
local target = targets[state] and targets[state][wish]
if not target then return { 'refused', state } end
if only_priority and target ~= state then return { 'refused', state } end

redis.call('HSET', job_key(job_id), 'wish', wish, 'wish_number', wish_number, 'wish_ms', now, 'wish_by', by)
emit(job_id, 'wish', cjson.encode({ wish = wish, number = wish_number, by = actor(job_id, 'wish_by') }))
if priority then
  redis.call('HSET', job_key(job_id), 'priority', priority)
  if redis.call('ZSCORE', READY, job_id) then put_ready(job_id) end
end
if target ~= state then
  take_ready(job_id)
  redis.call('ZREM', DELAYED, job_id)
  redis.call('HSET', job_key(job_id), 'barren', 0, 'setbacks', 0)
  if target == 'queued' then redis.call('HDEL', job_key(job_id), 'result') end
  local wished = { queued = 'resumed', paused = 'paused', cancelled = 'cancelled' }
  set_state(job_id, target, because(wished[target]), actor(job_id, 'wish_by'))
  if target == 'queued' then enqueue(job_id, 0) end
end
redis.call('PUBLISH', WISHES_PREFIX .. job_id, wish)
return { 'done', target }
