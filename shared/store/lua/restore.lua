-- A job found on disk that Redis does not know (a wipe, or a submit while Redis was away).
-- ARGV: id, state, reason, then names and values of its fields. Answers 1 if it was restored.
-- One that has ended gets no stream of its own: nothing has happened, and the files have everything.
local id, state, reason = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', job_key(id)) == 1 then return 0 end
insert(id, { unpack(ARGV, 4) })
if ENDED[state] then
  put_state(id, state, reason)
  changed(id, 'state')
else
  set_state(id, state, reason)
end
if state == 'queued' then enqueue(id, 0) end
return 1
