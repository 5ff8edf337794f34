-- The right to compare all jobs with their directories, for one keeper at a time. ARGV: who, lock_ms.
-- Answers 1 to who has it now, else 0.
local holder = redis.call('GET', SCAN)
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', SCAN, ARGV[1], 'PX', ARGV[2])
return 1
