"""The list's index: a read model in SQLite that answers lists, counts and filters, whatever the number of jobs.

    index = JobIndex(IndexFile(data_dir / "index"))
    feeder = Feeder(index, jobs_dir, store, closing)      # keeps it up to date, in a thread
    index.page(limit=25, offset=0, state=JobState.FAILED)
    index.search(Search((Condition(setting("training.epochs"), ">", 5),), Order(metric("val_loss", "least"))), limit=25)
    index.details(job_ids)                                # every setting and metric of some jobs

Never the truth: it is fed from the change stream and the job directories, thrown away and rebuilt at will. Each
web process has one of its own. What is stored and how it is opened is in ``schema``, what is asked in ``queries``,
in any order and by anything in ``search``, what there is to be searched by in ``details``, how it is kept up to date
in ``feeding``.
"""

from keepfit.web.index.details import Details, Metric
from keepfit.web.index.feeding import Feeder
from keepfit.web.index.queries import Filling, JobIndex, Page
from keepfit.web.index.schema import IndexFile
from keepfit.web.index.search import Condition, Order, Search, column, metric, setting

__all__ = [
    "Condition",
    "Details",
    "Feeder",
    "Filling",
    "IndexFile",
    "JobIndex",
    "Metric",
    "Order",
    "Page",
    "Search",
    "column",
    "metric",
    "setting",
]
