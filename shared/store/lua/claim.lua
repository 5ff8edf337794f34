-- queued -> running. Takes the hinted job if it is ready, else the best one; a worker whose slots are full takes only
-- one of a short kind. A job that needs a higher version of a
-- spec than the worker reads, or a kind that it does not know, is left to others. What is in the queue without a
-- whole record of a queued job is taken out: a keeper puts it right.
-- Answers {id, attempt, why the attempt before it ended}, or nothing when no job is ready.
local STEP, MOST = 50, 2000 -- looked at in one go, and at all

local known = {}
for _, kind in ipairs(kinds) do known[kind] = true end
local function readable(id)
  local job = redis.call('HMGET', job_key(id), 'needs', 'kind') -- the first versions wrote no `needs`
  return (tonumber(job[1] or 1) or 1) <= reads and known[job[2] or 'train']
end

local function belongs(id)
  if is_whole(id) and field(id, 'state') == 'queued' then return true end
  take_ready(id)
  return false
end

-- Whether this worker runs as many jobs of the kinds that take long as it has slots.
local function is_full()
  local worker, long = string.match(owner, '^[^:]*:[^:]*:[^:]*:') or owner, 0
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local other = field(id, 'owner') or ''
    if string.sub(other, 1, #worker) == worker and not is_short(id) then long = long + 1 end
  end
  return long >= slots
end

local function best(queue)
  local left = 0 -- to others
  for _ = 1, MOST / STEP do
    local ids = redis.call('ZRANGE', queue, left, left + STEP - 1)
    for _, id in ipairs(ids) do
      if belongs(id) then
        if readable(id) then return id end
        left = left + 1
      end
    end
    if #ids < STEP then return nil end
  end
end

promote()
local id, queue = hint, slots and is_full() and SHORT or READY
if id == '' or not redis.call('ZSCORE', queue, id) or not belongs(id) or not readable(id) then id = best(queue) end
if not id then return false end
take_ready(id)
local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
if field(id, 'last_outcome') == 'interrupted' then count('recoveries') end
take_lease(id, owner, lease_ms)
set_state(id, 'running', '', service('worker'))
return { id, attempt, field(id, 'last_end') or '' }
