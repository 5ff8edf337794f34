-- Put before every script, between the names of the keys and those of its arguments (`scripts.py`). Holds what more
-- than one transition does. A state and its event are always written here, together, on the server's clock.

local EVENTS_KEPT, CHANGES_KEPT = 20000, 2000
-- Enough for whoever reads along slowly; the files have everything, and the stream of an ended job is gone in an hour.
local ENDED_EVENTS_KEPT, ENDED_EVENTS_MS = 2000, 3600000
local LONGEST_BACKOFF_MS = 30000
local STATES = { 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled' }
local KNOWN = { queued = true, running = true, paused = true, succeeded = true, failed = true, cancelled = true }
local WISHES = { run = true, pause = true, cancel = true }
local ENDED = { succeeded = true, failed = true, cancelled = true }
local HELD, LOST = 'held', 'lost' -- records.LeaseState
local OWN_FAULTS = { process = true, memory = true, silence = true } -- states.OWN_FAULTS

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function job_key(id) return JOB_PREFIX .. id end

local function field(id, name) return redis.call('HGET', job_key(id), name) end

local function number(id, name) return tonumber(field(id, name) or 0) or 0 end

-- Whether a key is of this type, or is not there at all.
local function is_of(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end

local function is_whole_number(text) return text and #text < 17 and string.match(text, '^%-?%d+$') ~= nil end

-- Whether a job's record has all that the scripts need of it; one that has not is put right from its directory.
local function is_whole(id)
  if redis.call('TYPE', job_key(id)).ok ~= 'hash' then return false end
  local job = redis.call('HMGET', job_key(id), 'state', 'wish', 'attempt', 'wish_number', 'priority', 'created_ms')
  if not (KNOWN[job[1]] and WISHES[job[2]]) then return false end
  for i = 3, 6 do
    if not is_whole_number(job[i]) then return false end
  end
  return true
end

-- Take a job out of every index but that of all jobs.
local function leave_queues(id)
  for _, index in ipairs({ READY, SHORT, DELAYED, LEASES }) do redis.call('ZREM', index, id) end
  for _, state in ipairs(STATES) do redis.call('ZREM', STATE_PREFIX .. state, id) end
end

local function count(name)
  local before = tonumber(redis.call('HGET', COUNTERS, name) or 0) or 0
  redis.call('HSET', COUNTERS, name, before + 1)
end

-- Append to a stream. A key of another type in its place loses nothing that the files have not.
local function append(key, kept, ...)
  if not is_of(key, 'stream') then redis.call('DEL', key) end
  redis.call('XADD', key, 'MAXLEN', '~', kept, '*', ...)
end

local function changed(id, kind) append(CHANGES, CHANGES_KEPT, 'job', id, 'type', kind) end

local function emit(id, kind, data)
  local job = redis.call('HMGET', job_key(id), 'attempt', 'state')
  append(EVENTS_PREFIX .. id, EVENTS_KEPT, 'type', kind, 'attempt', job[1] or 0, 'data', data)
  if ENDED[job[2]] then redis.call('PEXPIRE', EVENTS_PREFIX .. id, ENDED_EVENTS_MS) end
  changed(id, kind)
end

-- Lower is claimed first: higher priority, then first come.
local function rank(id) return number(id, 'created_ms') - number(id, 'priority') * 1e14 end

-- A reason (`reasons.py`) without arguments, as it is stored.
local function because(code) return '{"code":"' .. code .. '","args":{}}' end

-- Write a state down, where it is looked for too; without its event.
local function put_state(id, state, reason)
  redis.call('HSET', job_key(id), 'state', state, 'since_ms', now, 'reason', reason)
  for _, other in ipairs(STATES) do
    if other ~= state then redis.call('ZREM', STATE_PREFIX .. other, id) end
  end
  redis.call('ZADD', STATE_PREFIX .. state, now, id)
end

-- Who a field of a record names (JSON), as a value for an event; nothing where nobody knows.
local function actor(id, name)
  local read, found = pcall(cjson.decode, field(id, name) or '')
  if read and type(found) == 'table' then return found end
end

-- The service itself, as whoever does something: a worker or a keeper.
local function service(how) return { who = 'local', role = 'admin', how = how } end

-- `by`: whoever has brought the job into this state, as a value.
local function set_state(id, state, reason, by, outcome)
  put_state(id, state, reason)
  emit(id, 'state', cjson.encode({
    state = state, attempt = number(id, 'attempt'), reason = reason, outcome = outcome or '', by = by }))
  if ENDED[state] then
    redis.call('XTRIM', EVENTS_PREFIX .. id, 'MAXLEN', ENDED_EVENTS_KEPT)
    count('ended:' .. state)
  else
    redis.call('PERSIST', EVENTS_PREFIX .. id)
  end
end

-- Whether `owner` still holds the lease of attempt `attempt`.
local function holds(id, owner, attempt)
  local job = redis.call('HMGET', job_key(id), 'state', 'owner', 'attempt')
  return job[1] == 'running' and job[2] == owner and job[3] == string.format('%d', attempt)
end

local function is_short(id) return field(id, 'lane') == 'short' end

-- Into the queue; a job of a short kind into the lane of those as well.
local function put_ready(id)
  redis.call('ZADD', READY, rank(id), id)
  if is_short(id) then redis.call('ZADD', SHORT, rank(id), id) end
end

local function take_ready(id)
  redis.call('ZREM', READY, id)
  redis.call('ZREM', SHORT, id)
end

local function enqueue(id, not_before)
  if not_before > now then
    redis.call('ZADD', DELAYED, not_before, id)
  else
    put_ready(id)
  end
end

local function promote()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', now)) do
    redis.call('ZREM', DELAYED, id)
    put_ready(id)
  end
end

local function take_lease(id, owner, lease_ms)
  redis.call('HSET', job_key(id), 'owner', owner, 'lease_ms', now + lease_ms, 'heartbeat_ms', now)
  redis.call('ZADD', LEASES, now + lease_ms, id)
end

-- Put a job that Redis does not know into the indexes. `fields` is a flat list of names and values.
local function insert(id, fields)
  redis.call('HSET', job_key(id), unpack(fields))
  redis.call('ZADD', JOBS, number(id, 'created_ms'), id)
end

-- Count an interruption: every one in a row makes the job wait longer, its own faults use up its budget.
-- Answers how long it waits, and whether the budget is used up.
local function interrupted(id, cause, budget, backoff_ms)
  local setbacks, barren = number(id, 'setbacks') + 1, number(id, 'barren')
  if OWN_FAULTS[cause] then barren = barren + 1 end
  redis.call('HSET', job_key(id), 'setbacks', setbacks, 'barren', barren)
  count('interrupted:' .. cause)
  local wait = setbacks < 2 and 0 or math.min(LONGEST_BACKOFF_MS, backoff_ms * 2 ^ math.min(setbacks - 2, 20))
  return wait, OWN_FAULTS[cause] and barren >= budget
end

-- What becomes of a job whose attempt has ended. `how`: outcome, reason, cause (of an interruption), budget (own
-- faults in a row that are allowed), backoff_ms, by (worker or keeper), pause_with_reason (whatever the wish: it cannot go on without a person).
local function settle(id, how)
  redis.call('ZREM', LEASES, id)
  redis.call('HSET', job_key(id), 'owner', '', 'lease_ms', 0, 'last_end', how.reason, 'last_outcome', how.outcome)
  local wait, used_up = 0, false
  if how.outcome == 'interrupted' then wait, used_up = interrupted(id, how.cause, how.budget, how.backoff_ms) end
  local wish, state, reason, by = field(id, 'wish'), 'queued', how.reason, service(how.by)
  if how.outcome == 'finished' then
    state = 'succeeded'
  elseif how.outcome == 'failed' then
    state = 'failed'
  elseif wish == 'cancel' then
    state, reason, by = 'cancelled', because('cancelled'), actor(id, 'wish_by')
  elseif wish == 'pause' then
    state, reason, by = 'paused', because('paused'), actor(id, 'wish_by')
  elseif how.pause_with_reason then
    state = 'paused'
  elseif used_up then
    state, reason = 'failed', string.format(
      '{"code":"budget-used-up","args":{"count":%d,"last":%s}}', number(id, 'barren'),
      how.reason ~= '' and how.reason or '{}')
  end
  -- An attempt that obeyed a wish ended because of it; one that died before it could has a cause of its own.
  if how.outcome == 'stopped' then redis.call('HSET', job_key(id), 'last_end', reason) end
  set_state(id, state, reason, by, how.outcome)
  if state == 'queued' then enqueue(id, now + wait) end
  return state
end
