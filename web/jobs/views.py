"""The pages: read the request, make one call, render. Rules live in ``deeds``, words in ``live`` and ``wording``."""

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from keepfit.shared.errors import BadTransition, InvalidSpec, JobConflict, KeepfitError
from keepfit.shared.jobs.states import Wish
from keepfit.shared.spec import kind_named
from keepfit.web.api.asked import asked_kind, asked_state, whole_number
from keepfit.web.asking import asking
from keepfit.web.deeds.accepting import Accepted
from keepfit.web.desk import desk
from keepfit.web.errors import status_of
from keepfit.web.jobs.assemble import assemble_job
from keepfit.web.jobs.downloads import send_export, send_log
from keepfit.web.jobs.form import EvaluateForm, NewJobForm
from keepfit.web.jobs.page import filter_links, job_row
from keepfit.web.security import csrf
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.refusals import in_words

blueprint = Blueprint("pages", __name__)

PAGE_SIZE = 25
LATER = marked("It is written down and takes effect when the queue server is back.")
STARTS_LATER = marked("Accepted. It will start when the queue server is back.")
WISHES = {"pause": Wish.PAUSE, "resume": Wish.RUN, "cancel": Wish.CANCEL}


@blueprint.get("/")
def jobs() -> ResponseReturnValue:
    """The list of jobs, or of those in one ``state`` and of one ``kind``; newest first."""
    state, kind = asked_state(), asked_kind()
    page = whole_number("page", default=1, least=1)
    seen = desk().reader.page(PAGE_SIZE, (page - 1) * PAGE_SIZE, state, kind)
    pages = max(1, -(-seen.total // PAGE_SIZE))
    if page > pages:
        return redirect(url_for("pages.jobs", page=pages, state=state, kind=kind))
    return render_template(
        "jobs.html",
        rows=[job_row(record, seen.now_ms) for record in seen.records],
        total=seen.total,
        notice=seen.notice,
        page=page,
        pages=pages,
        filters=filter_links(desk().feeder.index.counts(kind), state, kind),
        asked={"state": state, "kind": kind},
    )


@blueprint.get("/jobs/new")
def new_job() -> ResponseReturnValue:
    """The form."""
    return render_template("new_job.html", form=NewJobForm())


@blueprint.post("/jobs/new")
@csrf.exempt  # the form checks its token itself, so that an old one loses nothing that was typed
def create_job() -> ResponseReturnValue:
    """Make a job of the form, once however often it is sent."""
    form = NewJobForm(_typed())
    spec = form.spec()
    if spec is None:
        return render_template("new_job.html", form=form), 422
    try:
        accepted = desk().submissions.submit(asking(), spec, key=form.key_of(spec.model_dump_json()))
    except JobConflict as exc:  # what this form has made before was deleted
        form.renew()
        form.form_errors.append(_("The job of this form was deleted. Press the button again to train it anew."))
        return render_template("new_job.html", form=form), status_of(exc)
    except KeepfitError as exc:
        form.form_errors.append(in_words(exc))
        return render_template("new_job.html", form=form), status_of(exc)
    if accepted.waits_for_queue:
        flash(_(STARTS_LATER))
    address = url_for("pages.job", job_id=accepted.jobdir.id)
    if request.accept_mimetypes.best == "application/json":  # the page's script, which then goes there itself
        return jsonify(url=address), 201
    return redirect(address, 303)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """A job's page."""
    page = assemble_job(desk(), job_id)
    template = "job.html" if kind_named(page.kind).trains else "evaluation.html"
    return render_template(template, page=page, evaluate=EvaluateForm(formdata=None))


@blueprint.post("/jobs/<job_id>/<any(pause, resume, cancel):action>")
def wish(job_id: str, action: str) -> ResponseReturnValue:
    """A button of the job's page."""
    try:
        accepted = desk().wishes.express(asking(), job_id, WISHES[action])
    except BadTransition as exc:  # the page was behind the job: it shows the new state, and this reason
        flash(in_words(exc))
        return redirect(url_for("pages.job", job_id=job_id), 303)
    return _to_job(accepted, LATER)


@blueprint.post("/jobs/<job_id>/<any(sooner, later):direction>")
def move(job_id: str, direction: str) -> ResponseReturnValue:
    """Move a waiting job in the queue by one step of priority."""
    try:
        priority = desk().reader.get(job_id).record.priority
        accepted = desk().wishes.prioritise(asking(), job_id, priority + (1 if direction == "sooner" else -1))
    except BadTransition as exc:
        flash(in_words(exc))
        return redirect(url_for("pages.job", job_id=job_id), 303)
    return _to_job(accepted, LATER)


@blueprint.post("/jobs/<job_id>/drill")
def drill(job_id: str) -> ResponseReturnValue:
    """The recovery drill."""
    try:
        desk().drills.drill(asking(), job_id)
    except KeepfitError as exc:
        if status_of(exc) == 404:
            raise
        flash(in_words(exc))
    else:
        flash(_("The worker was told to die; its job goes on in seconds."))
    return redirect(url_for("pages.job", job_id=job_id), 303)


@blueprint.post("/jobs/<job_id>/evaluations")
def evaluate(job_id: str) -> ResponseReturnValue:
    """Evaluate the job's model, as a job of its own."""
    form = EvaluateForm(_typed())
    data = form.dataset.data or ""
    try:
        accepted = desk().evaluations.evaluate(asking(), job_id, {"name": data}, key=form.key_of(f"{job_id} {data}"))
    except (BadTransition, JobConflict) as exc:
        flash(in_words(exc))
        return redirect(url_for("pages.job", job_id=job_id), 303)
    return _to_job(accepted, STARTS_LATER)


@blueprint.get("/jobs/<job_id>/files/<any('model.keras', 'weights.h5'):name>")
def export(job_id: str, name: str) -> ResponseReturnValue:
    """A download."""
    return send_export(desk().reader.get(job_id), name)


@blueprint.get("/jobs/<job_id>/log.txt")
def log(job_id: str) -> ResponseReturnValue:
    """The whole log, as a file."""
    return send_log(desk().reader.get(job_id))


def _typed() -> MultiDict[str, str]:
    """The fields that were sent. Raises InvalidSpec."""
    if request.files:
        raise InvalidSpec("This form takes no files: send {fields} as text.", fields=", ".join(sorted(request.files)))
    return request.form


def _to_job(accepted: Accepted, later: str) -> ResponseReturnValue:
    if accepted.waits_for_queue:
        flash(_(later))
    return redirect(url_for("pages.job", job_id=accepted.jobdir.id), 303)
