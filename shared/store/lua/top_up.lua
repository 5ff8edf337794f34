-- How many kicks the keeper should publish now. None while some wait in the list.
-- A list that somebody has filled is cut, and one that is no list is left to the worker that comes upon it.
local KICKS_KEPT = 1000
promote()
local kind = redis.call('TYPE', QUEUE).ok
if kind ~= 'list' and kind ~= 'none' then return 0 end
redis.call('LTRIM', QUEUE, -KICKS_KEPT, -1)
local ready = redis.call('ZCARD', READY)
if ready == 0 or redis.call('LLEN', QUEUE) > 0 then return 0 end
if not redis.call('SET', KICK, '1', 'NX', 'PX', gap_ms) then return 0 end
return math.min(ready, most)
