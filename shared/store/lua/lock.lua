-- The right to compare all jobs with their directories, for one keeper at a time. Answers 1 to who has it now, else 0.
local holder = redis.call('GET', SCAN)
if holder and holder ~= who then return 0 end
redis.call('SET', SCAN, who, 'PX', lock_ms)
return 1
