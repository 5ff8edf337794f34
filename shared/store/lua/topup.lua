-- How many kicks the keeper should publish now. ARGV: gap_ms, most. None while some wait in the list.
promote()
local ready = redis.call('ZCARD', READY)
if ready == 0 or redis.call('LLEN', QUEUE) > 0 then return 0 end
if not redis.call('SET', KICK, '1', 'NX', 'PX', ARGV[1]) then return 0 end
return math.min(ready, tonumber(ARGV[2]))
