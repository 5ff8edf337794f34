-- queued -> running. Takes the hinted job if it is ready, else the best one. ARGV: owner, hint, lease_ms.
-- Answers {id, attempt, why the attempt before it ended}, or nothing when no job is ready.
local owner, hint, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
promote()
local id = hint
if id == '' or not redis.call('ZSCORE', READY, id) then
  id = redis.call('ZRANGE', READY, 0, 0)[1]
end
if not id then return false end
redis.call('ZREM', READY, id)
local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
if field(id, 'last_outcome') == 'interrupted' then count('recoveries') end
take_lease(id, owner, lease_ms)
set_state(id, 'running', '')
return { id, attempt, field(id, 'last_end') or '' }
