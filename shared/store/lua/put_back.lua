-- A job found on disk that Redis does not know (a wipe, or a submit while Redis was away). Answers 1 if it was put back.
-- One that has ended gets no stream of its own: nothing has happened, and the files have everything.
if redis.call('EXISTS', job_key(job_id)) == 1 then return 0 end
insert(job_id, record)
if ENDED[state] then
  put_state(job_id, state, reason)
  changed(job_id, 'state')
else
  set_state(job_id, state, reason)
end
if state == 'queued' then enqueue(job_id, 0) end
return 1
