-- Drops the record of a job that nobody runs, or one that is damaged, so that it can be restored from its directory;
-- who runs it all the same adopts it. ARGV: id, 1 for one of which some detail cannot be read. Answers 1, or 0 for a running job: then nothing has changed.
local id = ARGV[1]
if ARGV[2] ~= '1' and is_whole(id) and field(id, 'state') == 'running' then return 0 end
redis.call('DEL', job_key(id))
redis.call('ZREM', JOBS, id)
leave_queues(id)
return 1
