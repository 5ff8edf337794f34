-- Attempts whose lease has lapsed: running -> queued | paused | cancelled | failed. By any keeper.
-- ARGV: budget, backoff_ms, then the reason in words. Answers a flat list of id and new state.
local reaped = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now)) do
  reaped[#reaped + 1] = id
  reaped[#reaped + 1] = settle(id, 'interrupted', ARGV[3], tonumber(ARGV[1]), tonumber(ARGV[2]), false)
end
return reaped
