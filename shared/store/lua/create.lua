-- A job that a person submitted: nothing -> queued.
-- Answers 'created'; 'known' (a repeated submit); or 'another' where the record is of another directory, which was
-- removed by hand, or damaged.
if redis.call('EXISTS', job_key(job_id)) == 1 then
  return is_whole(job_id) and number(job_id, 'created_ms') == created_ms and 'known' or 'another'
end
insert(job_id, record)
set_state(job_id, 'queued', '', actor(job_id, 'by'))
enqueue(job_id, 0)
return 'created'
