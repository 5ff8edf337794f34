"""A web side that does not ask whether the job of a key was deleted, so that a late repeat of a submit makes it anew.

python -m tests.chaos.broken.forgets_tombstones
"""

from keepfit.shared.jobs import deleting
from keepfit.web.serve import main

deleting.is_deleted = lambda *_: False

if __name__ == "__main__":
    main()
