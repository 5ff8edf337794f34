"""Puts a job's page and its live view together from the store and the job directory.

page = assemble_job(desk(), job_id)
now = assemble_live(desk(), seen)
"""

from keepfit.shared.errors import JobNotFound, StoreUnavailable
from keepfit.web.desk import Desk
from keepfit.web.jobs import page
from keepfit.web.jobs.attempts import attempt_rows, recovered
from keepfit.web.jobs.history import read_history, read_log
from keepfit.web.jobs.live import LiveView, live_view
from keepfit.web.jobs.page import JobPage
from keepfit.web.jobs.reading import JobReader, Seen
from keepfit.web.words import wording
from keepfit.web.words.catalogue import _


def assemble_live(desk: Desk, seen: Seen) -> LiveView:
    """The moving parts of a job just now."""
    now_ms = None if seen.notice else desk.reader.now_ms()
    told_to_die = desk.drills.told_to_die(seen.record)
    return live_view(seen.record, desk.reader.waiting(seen), now_ms, told_to_die)


def assemble_job(desk: Desk, job_id: str) -> JobPage:
    """A job's page. Raises JobNotFound."""
    # The stream's position is read first: what happens while the page is made is then sent once more, not lost.
    log_after = _last_id(desk.reader, job_id)
    seen = desk.reader.get(job_id)
    record, history = seen.record, read_history(seen.jobdir)
    source, live = record.source, assemble_live(desk, seen)
    alive = not desk.drills.told_to_die(record) and live.tone == record.state.value
    can_drill = desk.settings.drills and not seen.notice and alive
    return JobPage(
        id=job_id,
        name=record.name,
        kind=record.kind,
        data=record.data,
        notice=seen.notice,
        metric=_(record.task.title),
        metric_name=record.task.primary,
        live=live,
        created_ms=record.created_ms,
        submitted_by=wording.actor(record.by) if record.by else "",
        wished=wording.wished(record),
        since_ms=record.since_ms,
        facts=page.facts(seen),
        source=source,
        source_name=_name_of(desk, source),
        buttons=page.buttons(record, can_drill),
        recovered=recovered(history, record),
        result=page.result_view(seen, history),
        attempts=attempt_rows(history, record, live.attempt),
        evaluations=tuple(page.evaluation_row(e) for e in desk.reader.evaluations(seen.jobdir)),
        can_evaluate=page.can_evaluate(record),
        log=read_log(seen.jobdir),
        log_after=log_after,
    )


def _last_id(reader: JobReader, job_id: str) -> str:
    try:
        return reader.ask(lambda store: store.events.last_id(job_id))
    except StoreUnavailable:
        return ""  # from now on: a moment's outage replays nothing


def _name_of(desk: Desk, job_id: str) -> str:
    if not job_id:
        return ""
    try:
        return desk.reader.get(job_id).record.name
    except JobNotFound:  # its directory was deleted; the evaluation stays
        return job_id
