"""The data that a job works on. Which data sets there are is in ``shared.catalog``."""

from keepfit.shared.spec.reference import Reference


class DataSpec(Reference):
    """Which data set."""
