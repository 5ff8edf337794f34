-- Drops the record of a job that nobody runs, or one that is damaged, so that it can be put back from its directory;
-- who runs it all the same adopts it. Answers 1, or 0 for a running job: then nothing has changed.
if not damaged and is_whole(job_id) and field(job_id, 'state') == 'running' then return 0 end
redis.call('DEL', job_key(job_id))
redis.call('ZREM', JOBS, job_id)
leave_queues(job_id)
return 1
