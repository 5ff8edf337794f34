"""The model that a job trains. Which models there are is in ``shared.catalog``."""

from keepfit.shared.spec.reference import Reference


class ModelSpec(Reference):
    """Which model."""
