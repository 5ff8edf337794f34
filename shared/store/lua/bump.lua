-- The disk has higher attempt numbers than Redis: raise this attempt's. ARGV: id, owner, attempt, floor.
-- Answers the new number, or nothing when the lease is another's.
local id, owner, attempt, floor = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not holds(id, owner, attempt) then return false end
local raised = math.max(tonumber(attempt), floor) + 1
redis.call('HSET', job_key(id), 'attempt', raised)
return raised
