-- Jobs that are not where their record says; put there if `repair`.
-- Answers a flat list of id and what was wrong, for those where something was: missing and damaged records are only
-- named, since they are put back from their directories. A lease is put back as long as it was: its owner goes on
-- renewing it if it lives, else it lapses. No state changes here.
local function put(key, id, score)
  if redis.call('ZSCORE', key, id) then return false end
  if repair then redis.call('ZADD', key, score, id) end
  return true
end

local function take(key, id)
  if not redis.call('ZSCORE', key, id) then return false end
  if repair then redis.call('ZREM', key, id) end
  return true
end

local function is_queued_wrongly(id, state)
  local ready, delayed = redis.call('ZSCORE', READY, id), redis.call('ZSCORE', DELAYED, id)
  if state == 'queued' then
    local for_ever = delayed and tonumber(delayed) > now + LONGEST_BACKOFF_MS
    if ready and is_short(id) then return put(SHORT, id, rank(id)) end
    if ready or (delayed and not for_ever) then return take(SHORT, id) end
    if for_ever then take(DELAYED, id) end
    if repair then enqueue(id, 0) end
    return true
  end
  local in_ready, in_short, in_delayed = take(READY, id), take(SHORT, id), take(DELAYED, id)
  return in_ready or in_short or in_delayed
end

local function is_counted_wrongly(id, state)
  local wrong = put(STATE_PREFIX .. state, id, number(id, 'since_ms'))
  for _, other in ipairs(STATES) do
    if other ~= state and take(STATE_PREFIX .. other, id) then wrong = true end
  end
  return wrong
end

local function has_wrong_stream(id)
  if is_of(EVENTS_PREFIX .. id, 'stream') then return false end
  if repair then redis.call('DEL', EVENTS_PREFIX .. id) end
  return true
end

local function has_wrong_lease(id)
  local until_ms = number(id, 'lease_ms')
  if tonumber(redis.call('ZSCORE', LEASES, id)) == until_ms then return false end
  if repair then redis.call('ZADD', LEASES, until_ms, id) end
  return true
end

local function look(id)
  if redis.call('EXISTS', job_key(id)) == 0 then
    if repair then leave_queues(id) end
    return 'missing'
  end
  if not is_whole(id) then return 'damaged' end
  local state, wrong = field(id, 'state'), nil
  if has_wrong_stream(id) then wrong = 'stream' end
  if put(JOBS, id, number(id, 'created_ms')) then wrong = 'unlisted' end
  if is_counted_wrongly(id, state) then wrong = wrong or 'miscounted' end
  if is_queued_wrongly(id, state) then wrong = state == 'queued' and 'unqueued' or 'queued' end
  if state == 'running' then
    if has_wrong_lease(id) then wrong = 'unleased' end
  elseif take(LEASES, id) then
    wrong = 'leased'
  end
  return wrong
end

local found = {}
for _, id in ipairs(job_ids) do
  local wrong = look(id)
  if wrong then
    found[#found + 1] = id
    found[#found + 1] = wrong
  end
end
return found
