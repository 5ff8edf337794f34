-- The disk has higher attempt numbers than Redis: raise this attempt's above `floor`.
-- Answers the new number, or 'lost' when the lease is another's: then nothing has changed.
if not holds(job_id, owner, attempt) then return LOST end
local raised = math.max(attempt, floor) + 1
redis.call('HSET', job_key(job_id), 'attempt', raised)
return raised
