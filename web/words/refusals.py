"""What an error of ours says, in the language that is spoken. It is written, in English, where the error is raised.

raise JobNotFound("There is no job {job_id}.", job_id=job_id)     # anywhere
in_words(exc)                                                     # "2fvswprk22rv 작업이 없습니다."
"""

from keepfit.shared.errors import KeepfitError
from keepfit.web.words.catalogue import _


def in_words(exc: KeepfitError) -> str:
    """The message of ``exc``; in English what was not given as a message with named values."""
    return _(exc.message, **exc.values)
