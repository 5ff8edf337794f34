-- Attempts whose lease has lapsed: running -> queued | paused | cancelled | failed. By any keeper.
-- The worker of a `silent` job lives, so that the silence was its attempt's own fault.
-- Answers a flat list of id and new state.
local own_fault, reaped = {}, {}
for _, id in ipairs(silent) do own_fault[id] = true end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now)) do
  if is_whole(id) and field(id, 'state') == 'running' then
    reaped[#reaped + 1] = id
    reaped[#reaped + 1] = settle(id, {
      outcome = 'interrupted', reason = reason, cause = own_fault[id] and 'silence' or 'worker',
      budget = budget, backoff_ms = backoff_ms, by = 'keeper' })
  else
    redis.call('ZREM', LEASES, id) -- nobody's: a keeper puts the record right
  end
end
return reaped
