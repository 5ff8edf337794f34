-- Drops the record of a job that nobody runs, so that it can be restored from its directory.
-- ARGV: id. Answers 1, or 0 for a running job: then nothing has changed.
local id = ARGV[1]
if field(id, 'state') == 'running' then return 0 end
redis.call('DEL', job_key(id))
for _, index in ipairs({ JOBS, READY, DELAYED, LEASES }) do redis.call('ZREM', index, id) end
for _, state in ipairs(STATES) do redis.call('ZREM', STATE_PREFIX .. state, id) end
return 1
