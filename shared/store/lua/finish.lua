-- The end of an attempt: running -> succeeded | failed | cancelled | paused | queued.
-- By its owner, or by a keeper of its host that saw its process dead.
-- ARGV: id, owner, attempt, outcome, reason, cause (of an interruption), result (JSON or ''), budget, backoff_ms,
-- hold (1 or 0).
-- Answers the new state, or nothing when the lease is another's: then nothing has changed.
local id, owner, attempt, result = ARGV[1], ARGV[2], ARGV[3], ARGV[7]
if not holds(id, owner, attempt) then return false end
if result ~= '' then redis.call('HSET', job_key(id), 'result', result) end
return settle(id, {
  outcome = ARGV[4], reason = ARGV[5], cause = ARGV[6],
  budget = tonumber(ARGV[8]), backoff_ms = tonumber(ARGV[9]), hold = ARGV[10] == '1' })
