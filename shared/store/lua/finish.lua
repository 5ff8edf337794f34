-- The end of an attempt: running -> succeeded | failed | cancelled | paused | queued.
-- By its owner, or by a keeper of its host that saw its process dead.
-- ARGV: id, owner, attempt, outcome, reason, result (JSON or ''), budget, backoff_ms, hold (1 or 0).
-- Answers the new state, or nothing when the lease is another's: then nothing has changed.
local id, owner, attempt, outcome, reason, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if not holds(id, owner, attempt) then return false end
if result ~= '' then redis.call('HSET', job_key(id), 'result', result) end
return settle(id, outcome, reason, tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1')
