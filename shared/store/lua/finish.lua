-- The end of an attempt: running -> succeeded | failed | cancelled | paused | queued.
-- By its owner, or by a keeper of its host that saw its process dead.
-- Answers the new state, or 'lost' when the lease is another's: then nothing has changed.
if not holds(job_id, owner, attempt) then return LOST end
if result ~= '' then redis.call('HSET', job_key(job_id), 'result', result) end
return settle(job_id, {
  outcome = outcome, reason = reason, cause = cause, budget = budget, backoff_ms = backoff_ms, by = by,
  pause_with_reason = pause_with_reason })
