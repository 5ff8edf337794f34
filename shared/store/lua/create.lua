-- A job that a person submitted: nothing -> queued. ARGV: id, then names and values of its fields.
-- Answers 1 if it is new, 0 if Redis knows it already (a repeated submit).
local id = ARGV[1]
if redis.call('EXISTS', job_key(id)) == 1 then return 0 end
insert(id, { unpack(ARGV, 2) })
set_state(id, 'queued', '')
enqueue(id, 0)
return 1
