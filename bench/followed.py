"""What of a benchmark's result is followed over time and compared between versions: its few numbers, by name.

    of("wishes", found)      # {"pause, mlp, median s": 0.31, ...}; empty where nothing is followed

Lower is better in all of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

Numbers = dict[str, float]


def of(name: str, found: Any) -> Numbers:
    """The numbers of the result ``found`` of the benchmark ``name``."""
    return FOLLOWED[name](found) if name in FOLLOWED else {}


def of_first_step(found: Mapping[str, Any]) -> Numbers:
    """Submit to first step."""
    return {f"first step, {model}, median s": found[model]["median_s"] for model in ("mlp", "cnn")}


def of_wishes(found: Mapping[str, Any]) -> Numbers:
    """Wish to obedience."""
    return {f"{name}, median s": row["median_s"] for name, row in found.items() if isinstance(row, dict)}


def of_recovery(found: Mapping[str, Any]) -> Numbers:
    """Fault to next step."""
    return {f"{name}, median s": row["p50_s"] for name, row in found.get("keepfit", {}).items()}


def of_whole_job(found: Mapping[str, Any]) -> Numbers:
    """Submit to succeeded."""
    return {"whole job, s": found["job_s"]}


def of_checkpoint_cost(found: Mapping[str, Any]) -> Numbers:
    """What a checkpoint takes."""
    return {"stall, ms": found["stall_ms"], "writing, ms of a core": found["writing_ms"]}


def of_engine(found: Mapping[str, Any]) -> Numbers:
    """Seconds an epoch."""
    return {f"engine, {model}, s an epoch": row["keepfit"]["median_s"] for model, row in found["epoch"].items()}


def of_many_jobs(found: Mapping[str, Any]) -> Numbers:
    """What must stay quick with many jobs."""
    names = {
        "ready_s": "ready, s",
        "rebuilt_after_wipe_s": "rebuilt after a wipe, s",
        "submit_to_start_worst_s": "submit to start, worst s",
        "idle_worker_share": "idle worker, share of a core",
    }
    return {f"{found['jobs']:,} jobs, {name}": found[key] for key, name in names.items() if key in found}


def of_viewers(found: Mapping[str, Any]) -> Numbers:
    """What those who watch cost."""
    rows = {name: row for name, row in found.items() if name.startswith("of ")}
    names = {f"{found['viewers']} viewers {name}": row for name, row in rows.items()}
    return {f"{name}, share of a core": row["cpu_share"] for name, row in names.items()} | {
        f"{name}, lag p95 ms": row["lag_ms"]["p95"] for name, row in names.items()
    }


def of_index(found: Mapping[str, Any]) -> Numbers:
    """What the list's index takes to be filled and asked."""
    filled = {"index filled, s of a core": found["filled_cpu_s"]}
    return filled | {f"index, {name}, p50 ms": row["p50"] for name, row in found["ms"].items()}


FOLLOWED: dict[str, Callable[[Any], Numbers]] = {
    "first_step": of_first_step,
    "wishes": of_wishes,
    "recovery": of_recovery,
    "whole_job": of_whole_job,
    "checkpoint_cost": of_checkpoint_cost,
    "engine": of_engine,
    "many_jobs": of_many_jobs,
    "viewers": of_viewers,
    "index": of_index,
}
