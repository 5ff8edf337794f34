-- A job that a person submitted: nothing -> queued. ARGV: id, created_ms, then names and values of its fields.
-- Answers 'created'; 'known' (a repeated submit); or 'another' where the record is of another directory, which was
-- removed by hand, or damaged.
local id = ARGV[1]
if redis.call('EXISTS', job_key(id)) == 1 then
  return is_whole(id) and field(id, 'created_ms') == ARGV[2] and 'known' or 'another'
end
insert(id, { unpack(ARGV, 3) })
set_state(id, 'queued', '')
enqueue(id, 0)
return 'created'
