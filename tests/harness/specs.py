"""Specs of jobs for tests and benchmarks, as they are after the service has accepted them: complete."""

from typing import Any

from keepfit.shared.catalog.accepting import accept
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.spec import JobSpec, parse_spec


def accepted(raw: dict[str, Any]) -> JobSpec:
    """The spec that is kept of ``raw``."""
    return accept(parse_spec(raw), builtin_library())
