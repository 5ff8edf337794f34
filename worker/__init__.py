"""The training side: Celery workers that run attempts. May import shared; never flask or web.

``celery -A worker.app``, as people know it, is typed in a checkout, where this folder can be imported by its bare name
too. It then gives the very same modules: loaded twice, there would be two keepers.
"""

import importlib
import sys

if __name__ == "worker":
    for _name in ("worker", "worker.app"):
        sys.modules[_name] = importlib.import_module(f"keepfit.{_name}")
