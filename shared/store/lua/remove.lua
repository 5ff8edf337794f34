-- A job whose directory is gone: anything -> nothing, with all its keys.
-- Who runs it hears at once that something has happened, finds no directory and stops.
redis.call('DEL', job_key(job_id), EVENTS_PREFIX .. job_id)
redis.call('ZREM', JOBS, job_id)
leave_queues(job_id)
changed(job_id, 'gone')
redis.call('PUBLISH', WISHES_PREFIX .. job_id, 'gone')
return 1
