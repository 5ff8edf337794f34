-- Keys of another type than keys.py says, which nothing can be read from or written to, and a gap or a lock that would
-- last for ever. Dropped if `repair`. Answers their names. What they should hold comes back from the records and the
-- directories. Celery's own list is the affair of the worker that comes upon it.
local expected = {
  [JOBS] = 'zset', [READY] = 'zset', [SHORT] = 'zset', [DELAYED] = 'zset', [LEASES] = 'zset', [WORKERS] = 'zset',
  [CHANGES] = 'stream', [KICK] = 'string', [SCAN] = 'string', [COUNTERS] = 'hash', [REBUILD] = 'hash' }
for _, state in ipairs(STATES) do expected[STATE_PREFIX .. state] = 'zset' end
local wrong = {}
for key, kind in pairs(expected) do
  if not is_of(key, kind) or (kind == 'string' and redis.call('PTTL', key) == -1) then
    wrong[#wrong + 1] = key
    if repair then redis.call('DEL', key) end
  end
end
return wrong
