"""What every view needs, made once an application: settings, store, reader, deeds, hub.

desk().reader.get(job_id)
desk().submissions.submit(actor, spec)
"""

import threading
from dataclasses import dataclass

from flask import current_app

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from keepfit.web.deeds.accepting import Means
from keepfit.web.deeds.delete import Deletions
from keepfit.web.deeds.drill import Drills
from keepfit.web.deeds.evaluate import Evaluations
from keepfit.web.deeds.reminder import Reminder
from keepfit.web.deeds.submit import Submissions
from keepfit.web.deeds.wishes import Wishes
from keepfit.web.hub import Hub
from keepfit.web.index import Feeder, IndexFile, JobIndex
from keepfit.web.jobs.reading import JobReader
from keepfit.web.messages import Messages


@dataclass(frozen=True)
class Desk:
    """The parts that the views of one application share."""

    settings: Settings
    store: Store
    reader: JobReader
    feeder: Feeder
    """Keeps the list's index up to date."""
    submissions: Submissions
    wishes: Wishes
    evaluations: Evaluations
    deletions: Deletions
    drills: Drills
    hub: Hub
    """Tells the open pages what happens."""
    closing: threading.Event
    """Set when the process is told to stop: the streams end, so that it can."""


def open_desk(settings: Settings) -> Desk:
    """The desk over the data directory and the queue server of ``settings``."""
    store = open_store(settings.broker_url)
    closing = threading.Event()
    feeder = Feeder(JobIndex(IndexFile(settings.data_dir / "index")), settings.jobs_dir, store, closing)
    reader = JobReader(settings.jobs_dir, store, feeder)
    means = Means(settings, store, reader, Reminder(store, closing))
    evaluations, drills = Evaluations(means), Drills(means)
    return Desk(
        settings=settings,
        store=store,
        reader=reader,
        feeder=feeder,
        submissions=Submissions(means, evaluations),
        wishes=Wishes(means),
        evaluations=evaluations,
        deletions=Deletions(means),
        drills=drills,
        hub=Hub(store, Messages(reader, drills.told_to_die), closing),
        closing=closing,
    )


def desk() -> Desk:
    """The desk of the current application."""
    found = current_app.extensions["keepfit"]
    if not isinstance(found, Desk):
        raise TypeError("the application was not made by create_app")
    return found
