-- A live owner whose record was lost (a wipe, or writes lost by the server) or damaged: nothing or queued -> running.
-- ARGV: id, owner, attempt, lease_ms, then names and values of the job's fields.
-- Answers 'held', or 'lost' when another attempt has begun or the job has ended.
local id, owner, attempt, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not is_whole(id) then
  redis.call('DEL', job_key(id))
  insert(id, { unpack(ARGV, 5) })
  redis.call('HSET', job_key(id), 'wish_ms', now) -- when it was made is lost: its owner gets the whole grace
elseif field(id, 'state') ~= 'queued' or number(id, 'attempt') > attempt then
  return 'lost'
end
redis.call('ZREM', READY, id)
redis.call('ZREM', DELAYED, id)
redis.call('HSET', job_key(id), 'attempt', attempt)
take_lease(id, owner, lease_ms)
set_state(id, 'running', 'went on while the queue server was away')
return 'held'
