-- A person's wish. ARGV: id, wish (run, pause, cancel), number, priority ('' for unchanged), only_priority (1 or 0).
-- A queued or stopped job changes its state at once; a running one gets a flag, which its owner reads with the
-- next heartbeat or at once from the channel. Where only the priority is to change, the wish is the one that holds
-- already, and refused if it would change the state. Answers the state after it, 'missing' (damaged too), or
-- {'refused', state}.
local id, wish, wish_number = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not is_whole(id) then return 'missing' end
local state = field(id, 'state')
if wish_number < number(id, 'wish_number') then return state end

local targets = {
  queued = { run = 'queued', pause = 'paused', cancel = 'cancelled' },
  running = { run = 'running', pause = 'running', cancel = 'running' },
  paused = { run = 'queued', pause = 'paused', cancel = 'cancelled' },
  failed = { run = 'queued' },
  cancelled = { run = 'queued', cancel = 'cancelled' },
}
local target = targets[state] and targets[state][wish]
if not target then return { 'refused', state } end
if ARGV[5] == '1' and target ~= state then return { 'refused', state } end

redis.call('HSET', job_key(id), 'wish', wish, 'wish_number', wish_number, 'wish_ms', now)
emit(id, 'wish', cjson.encode({ wish = wish, number = wish_number }))
if ARGV[4] ~= '' then
  redis.call('HSET', job_key(id), 'priority', ARGV[4])
  if redis.call('ZSCORE', READY, id) then redis.call('ZADD', READY, rank(id), id) end
end
if target ~= state then
  redis.call('ZREM', READY, id)
  redis.call('ZREM', DELAYED, id)
  redis.call('HSET', job_key(id), 'barren', 0, 'setbacks', 0)
  if target == 'queued' then redis.call('HDEL', job_key(id), 'result') end
  local said = { queued = 'resumed by a person', paused = 'paused by a person', cancelled = 'cancelled by a person' }
  set_state(id, target, said[target])
  if target == 'queued' then enqueue(id, 0) end
end
redis.call('PUBLISH', WISHES_PREFIX .. id, wish)
return target
