-- An owner's heartbeat. ARGV: id, owner, attempt, lease_ms. Answers {status, wish, wish_number};
-- status: held, lost (another's, or not running), missing (Redis was wiped, or the record is damaged).
local id, owner, attempt, lease_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not is_whole(id) then return { 'missing', 'run', '0' } end
if not holds(id, owner, attempt) then return { 'lost', 'run', '0' } end
take_lease(id, owner, lease_ms)
return { 'held', field(id, 'wish'), field(id, 'wish_number') }
