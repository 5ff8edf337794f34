-- An owner's heartbeat. Answers {lease, wish}; the lease is held, lost (another's, or not running) or
-- missing (Redis was wiped, or the record is damaged).
if not is_whole(job_id) then return { 'missing', 'run' } end
if not holds(job_id, owner, attempt) then return { LOST, 'run' } end
take_lease(job_id, owner, lease_ms)
return { HELD, field(job_id, 'wish') }
