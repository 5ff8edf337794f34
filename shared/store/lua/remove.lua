-- A job whose directory is gone: anything -> nothing, with all its keys. ARGV: id.
-- Who runs it hears at once that something has happened, finds no directory and stops.
local id = ARGV[1]
redis.call('DEL', job_key(id), EVENTS_PREFIX .. id)
redis.call('ZREM', JOBS, id)
leave_queues(id)
changed(id, 'gone')
redis.call('PUBLISH', WISHES_PREFIX .. id, 'gone')
return 1
