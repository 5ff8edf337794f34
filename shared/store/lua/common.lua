-- Put before every script. Names the keys (order: keys.SCRIPT_KEYS), and holds what more than one
-- transition does. A state and its event are always written here, together, on the server's clock.

local JOBS, READY, DELAYED, LEASES, CHANGES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local WORKERS, KICK, QUEUE = KEYS[6], KEYS[7], KEYS[8]
local JOB_PREFIX, EVENTS_PREFIX, WISHES_PREFIX = KEYS[9], KEYS[10], KEYS[11]
local WORKER_PREFIX, DRILL_PREFIX = KEYS[12], KEYS[13]

local EVENTS_KEPT, CHANGES_KEPT = 20000, 2000
local LONGEST_BACKOFF_MS = 30000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function job_key(id) return JOB_PREFIX .. id end

local function field(id, name) return redis.call('HGET', job_key(id), name) end

local function number(id, name) return tonumber(field(id, name) or 0) end

local function emit(id, kind, data)
  redis.call('XADD', EVENTS_PREFIX .. id, 'MAXLEN', '~', EVENTS_KEPT, '*',
    'type', kind, 'attempt', number(id, 'attempt'), 'data', data)
  redis.call('XADD', CHANGES, 'MAXLEN', '~', CHANGES_KEPT, '*', 'job', id, 'type', kind)
end

-- Lower is claimed first: higher priority, then first come.
local function rank(id) return number(id, 'created_ms') - number(id, 'priority') * 1e14 end

local function set_state(id, state, reason, outcome)
  redis.call('HSET', job_key(id), 'state', state, 'since_ms', now, 'reason', reason)
  emit(id, 'state', cjson.encode({
    state = state, attempt = number(id, 'attempt'), reason = reason, outcome = outcome or '' }))
end

-- Whether `owner` still holds the lease of attempt `attempt`.
local function holds(id, owner, attempt)
  local job = redis.call('HMGET', job_key(id), 'state', 'owner', 'attempt')
  return job[1] == 'running' and job[2] == owner and job[3] == attempt
end

local function enqueue(id, not_before)
  if not_before > now then
    redis.call('ZADD', DELAYED, not_before, id)
  else
    redis.call('ZADD', READY, rank(id), id)
  end
end

local function promote()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', now)) do
    redis.call('ZREM', DELAYED, id)
    redis.call('ZADD', READY, rank(id), id)
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

-- What becomes of a job whose attempt has ended. `budget`: barren attempts allowed; `hold`: pause
-- it whatever the wish, because it cannot go on without a person.
local function settle(id, outcome, reason, budget, backoff_ms, hold)
  redis.call('ZREM', LEASES, id)
  redis.call('HSET', job_key(id), 'owner', '', 'lease_ms', 0)
  local wish, barren = field(id, 'wish'), number(id, 'barren')
  if outcome == 'finished' then
    set_state(id, 'succeeded', reason, outcome)
  elseif outcome == 'failed' then
    set_state(id, 'failed', reason, outcome)
  elseif wish == 'cancel' then
    set_state(id, 'cancelled', 'cancelled by a person', outcome)
  elseif wish == 'pause' then
    set_state(id, 'paused', 'paused by a person', outcome)
  elseif hold then
    set_state(id, 'paused', reason, outcome)
  elseif outcome == 'interrupted' and barren >= budget then
    set_state(id, 'failed', string.format(
      '%d attempts in a row ended without a new checkpoint; the last one: %s', barren, reason), outcome)
  else
    local wait = 0
    if outcome == 'stopped' then
      redis.call('HSET', job_key(id), 'barren', math.max(0, barren - 1))
    elseif barren >= 2 then
      wait = math.min(LONGEST_BACKOFF_MS, backoff_ms * 2 ^ (barren - 2))
    end
    set_state(id, 'queued', reason, outcome)
    enqueue(id, now + wait)
  end
  return field(id, 'state')
end
