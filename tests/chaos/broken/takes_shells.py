"""A worker that claims what stands in the queue, whether or not there is a record of it.

celery -A tests.chaos.broken.takes_shells worker
"""

from keepfit.worker.app import app
from keepfit.worker.keeper.rebuild import Rebuilder
from tests.chaos.broken.scripts import replace_in_scripts

Rebuilder._compare = lambda *_: None  # type: ignore[method-assign]  # else the record is back before it is claimed
replace_in_scripts("if is_whole(id) and field(id, 'state') == 'queued' then", "if id then")
replace_in_scripts("if not is_whole(job_id) then return { 'missing', 'run' } end", "")
replace_in_scripts("return { HELD, field(job_id, 'wish')", "return { HELD, field(job_id, 'wish') or 'run'")

__all__ = ["app"]
