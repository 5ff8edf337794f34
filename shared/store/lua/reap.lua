-- Attempts whose lease has lapsed: running -> queued | paused | cancelled | failed. By any keeper.
-- ARGV: budget, backoff_ms, the reason in words, then the ids of those whose worker lives, so that the silence was
-- their own. Answers a flat list of id and new state.
local silent, reaped = {}, {}
for i = 4, #ARGV do silent[ARGV[i]] = true end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now)) do
  if is_whole(id) and field(id, 'state') == 'running' then
    reaped[#reaped + 1] = id
    reaped[#reaped + 1] = settle(id, {
      outcome = 'interrupted', reason = ARGV[3], cause = silent[id] and 'silence' or 'worker',
      budget = tonumber(ARGV[1]), backoff_ms = tonumber(ARGV[2]) })
  else
    redis.call('ZREM', LEASES, id) -- nobody's: a keeper puts the record right
  end
end
return reaped
