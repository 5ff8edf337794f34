"""States, wishes and ways of doing something, each in one word. Knows nothing of the server.

state_name(JobState.QUEUED, recovering=True)     # "recovering"
"""

from keepfit.shared.actors import How
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.web.words.catalogue import _, marked

_STATES = {
    JobState.QUEUED: marked("queued"),
    JobState.RUNNING: marked("running"),
    JobState.PAUSED: marked("paused"),
    JobState.SUCCEEDED: marked("succeeded"),
    JobState.FAILED: marked("failed"),
    JobState.CANCELLED: marked("cancelled"),
}
_WISHES = {Wish.RUN: marked("run"), Wish.PAUSE: marked("pause"), Wish.CANCEL: marked("cancel")}

_HOW = {
    How.PAGE: marked("page"),
    How.API: marked("API"),
    How.COMMAND: marked("command"),
    How.WORKER: marked("worker"),
    How.KEEPER: marked("keeper"),
}


def state_name(state: str, recovering: bool = False) -> str:
    """The name of a state."""
    return _("recovering") if recovering else _(_STATES[JobState(state)])


def wish_name(wish: str) -> str:
    """The name of what a person wishes of a job."""
    return _(_WISHES[Wish(wish)])


def how_done(how: str) -> str:
    """The way by which something was done."""
    return _(_HOW[How(how)])
