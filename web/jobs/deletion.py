"""The page that asks before a job is deleted for good, and what is said afterwards.

    GET  /jobs/<id>/delete      what goes with it, how much space that frees, and the way back
    POST /jobs/<id>/delete      does it; to the list

Needs no script. The job's name, state and evaluations are named, since there is no way back afterwards.
"""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from keepfit.shared.errors import BadTransition
from keepfit.web.asking import asking
from keepfit.web.deeds.delete import Deleted, Doomed
from keepfit.web.desk import desk
from keepfit.web.jobs.page import evaluation_row
from keepfit.web.words.catalogue import _, n_
from keepfit.web.words.wording import size

blueprint = Blueprint("deletion", __name__)


@blueprint.get("/jobs/<job_id>/delete")
def ask(job_id: str) -> ResponseReturnValue:
    """Ask whether a job shall be deleted."""
    return _asked(job_id)


@blueprint.post("/jobs/<job_id>/delete")
def delete(job_id: str) -> ResponseReturnValue:
    """Delete it, if what was seen on the page is still so."""
    try:
        deleted = desk().deletions.delete(asking(), job_id, cancel="cancel" in request.form)
    except BadTransition:  # it has begun to run since the page was made: the page now says so
        return _asked(job_id), 409
    flash(_said(deleted))
    return redirect(url_for("pages.jobs"), 303)


def _asked(job_id: str) -> str:
    doomed = desk().deletions.look(job_id)
    evaluations = [evaluation_row(seen) for seen in desk().reader.evaluations(desk().reader.open(job_id))]
    running = _running(doomed)
    return render_template(
        "delete_job.html", job=doomed.jobs[0], doomed=doomed, evaluations=evaluations, running=running
    )


def _running(doomed: Doomed) -> str:
    """What is said of what runs; empty if nothing does."""
    if not doomed.running:
        return ""
    if doomed.running[0] is doomed.jobs[0]:
        return _("It is running now. Deleting it cancels it first.")
    return _("An evaluation is running now. Deleting it cancels it first.")


def _said(deleted: Deleted) -> str:
    more = len(deleted.job_ids) - 1
    gone = n_(
        "The job and {n} evaluation were deleted.", "The job and {n} evaluations were deleted.", more
    ) if more else _("The job was deleted.")  # fmt: skip
    space = size(deleted.bytes)
    if deleted.freed:
        return gone + " " + _("{size} of space is free again.", size=space)
    return gone + " " + _("{size} of space will be free again soon.", size=space)
