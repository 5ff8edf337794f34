"""Writes docs/benchmarks.md from bench/results/*.json, so that no number in it is typed by hand.

    python bench/report.py

A part whose results are missing is left out. What the numbers mean is written here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.trend import read_history, trend

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SPEED_TARGETS = {"mlp": 8.0, "lstm": 4.0, "mlp-batchnorm-dropout": 2.0, "cnn": 1.3}
PEERS = {"celery": "plain Celery", "rq": "RQ"}

HEAD = """# Benchmarks

Made by `make bench` from [bench/results](../bench/results); this page is written by `bench/report.py`. Each target
was set before anything was measured; what misses it is shown as it is.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def read(name: str) -> Any:
    """A result, or None."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def speed(report: dict[str, Any]) -> Iterator[str]:
    """Seconds an epoch."""
    machine = report["machine"]
    yield "## Faster than `fit`\n"
    yield (
        "Seconds an epoch on Fashion-MNIST (60,000 images), batch 32, checkpoints included: plain `fit` with "
        "`ModelCheckpoint`, `fit` with `steps_per_execution=64`, and Keepfit with its default checkpoints, all in the "
        "same order of samples. Medians of "
        f"{report['repetitions']} runs in turn, the first epoch of each left out. Machine: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, Python {report['python']}, "
        f"TensorFlow {machine.get('tensorflow', '')}, {report['date']}, load at the end {machine['load']:.1f}. The "
        "accuracies are those after two or three epochs; initial weights come from the same seed, but one draw "
        "apart.\n"
    )
    yield "![Seconds an epoch](images/epochs.png)\n"
    rows = []
    for name, row in report["epoch"].items():
        fit, ours = row["fit"]["median_s"], row["keepfit"]["median_s"]
        target = SPEED_TARGETS.get(name, 1.0)
        rows.append(
            [
                name, f"{fit:.2f}", f"{row['fit-64']['median_s']:.2f}", f"{ours:.2f}", row["keepfit"]["plan"],
                f"**{fit / ours:.1f}x**", f"{target:g}x", f"{row['fit']['accuracy']:.3f}",
                f"{row['keepfit']['accuracy']:.3f}",
            ]
        )  # fmt: skip
    heads = ["model", "`fit`", "`fit`, 64", "Keepfit", "plan", "faster", "target", "accuracy `fit`", "accuracy Keepfit"]
    yield table(heads, rows)


def whole_job(found: dict[str, Any]) -> Iterator[str]:
    """Submit to succeeded."""
    yield "## A whole job\n"
    yield (
        f"The MLP, ten epochs of Fashion-MNIST, test and exports included: `python train.py` takes "
        f"{found['script_s']:.1f} s (accuracy {found['script_accuracy']:.3f}), from submit to succeeded it is "
        f"{found['job_s']:.1f} s (accuracy {found['job_accuracy']:.3f}): **{found['times_faster']:.1f}x** faster "
        f"(target 5x; medians of {found['repetitions']}).\n"
    )


def first_step(found: dict[str, Any]) -> Iterator[str]:
    """Submit to the first step."""
    yield "## From submit to the first step\n"
    yield (
        f"On a warm worker, {found['repetitions']} jobs one after the other; target 1.5 s. The very first one of the "
        "MLP compiles its program.\n"
    )
    rows = [
        [name, f"{row['median_s']:.2f} s", f"{row['p95_s']:.2f} s", f"{row['very_first_s']:.2f} s"]
        for name, row in found.items()
        if isinstance(row, dict)
    ]
    yield table(["model", "median", "p95", "the very first one"], rows)


def wishes(found: dict[str, Any]) -> Iterator[str]:
    """From a wish to its fulfilment."""
    yield "## From a wish to its fulfilment\n"
    yield (
        "A running job is told to pause or cancel: seconds until it has that state, the checkpoint of its last step "
        f"included. {found['repetitions']} jobs each; target 1 s.\n"
    )
    rows = [
        [name, f"{row['median_s']:.2f} s", f"{row['worst_s']:.2f} s"]
        for name, row in found.items()
        if isinstance(row, dict)
    ]
    yield table(["wish, model", "median", "worst"], rows)


def checkpoints(cost: dict[str, Any] | None, snapshots: dict[str, Any] | None) -> Iterator[str]:
    """What checkpoints cost."""
    yield "## What checkpoints cost\n"
    if cost:
        yield (
            "Training time with the default checkpoints against none, in one run of the MLP that turns them on and off "
            f"every {cost['block_s']:.1f} s ({cost['pairs']} pairs of neighbours, {cost['checkpoints']} checkpoints; "
            f"medians, 95 % intervals): {_cost(cost['wall'])} by the clock, {_cost(cost['cpu'])} of CPU time, "
            "which the machine's other tenants disturb less. Added up: training stands still for "
            f"{cost['stall_ms']:.1f} ms at each checkpoint, whose writing takes {cost['writing_ms']:.1f} ms of a core; "
            f"if training lost all of both, that were **{cost['accounted']:.2%}**. Target: under 1 %.\n"
        )
    if snapshots:
        rows = [
            [
                f"{row['state_mb']:.0f} MB", f"{row['stall_median_ms']:.1f} ms", f"{row['stall_worst_ms']:.1f} ms",
                f"{row['more_memory_mb']:.0f} MB", f"{2 * row['state_mb'] + 200:.0f} MB",
            ]
            for row in snapshots.values() if isinstance(row, dict)
        ]  # fmt: skip
        yield "The time that training stands still for a snapshot (targets: 5 ms at 30 MB, 30 ms at 300 MB):\n"
        heads = ["state", "stall, median", "stall, worst", "more memory than `fit`", "target for it"]
        yield table(heads, rows)


def _cost(row: dict[str, float]) -> str:
    return f"**{row['median']:+.2%}** ({row['low']:+.2%} to {row['high']:+.2%})"


def recovery(report: dict[str, Any]) -> Iterator[str]:
    """Seconds from a fault to the next step."""
    yield "## Back in seconds\n"
    yield (
        "Seconds from the fault to the first optimizer step of the next attempt; beside it the same training under "
        "plain Celery (`acks_late`, `reject_on_worker_lost`, a script with `BackupAndRestore`) and RQ with its "
        f"defaults. {report['cores']} cores, {report['date']}.\n"
    )
    yield "![Recovery](images/recovery.png)\n"
    rows = []
    for fault, row in report["keepfit"].items():
        if "target_p95_s" not in row:
            continue
        others = [_peer(report.get(peer, {}).get(fault)) for peer in PEERS]
        rows.append(
            [fault, f"{row['p50_s']:.2f}", f"**{row['p95_s']:.2f}**", f"{row['target_p95_s']:.1f}",
             f"{row['steps_lost_p50']:.0f}", str(row["repetitions"]), *others]
        )  # fmt: skip
    yield table(["fault", "p50", "p95", "target p95", "steps lost, median", "tries", *PEERS.values()], rows)
    frozen, stopped = report["keepfit"].get("worker frozen", {}), report["keepfit"].get("worker stopped (SIGTERM)", {})
    if "woken_ended_worst_s" in frozen:
        yield (
            f"A frozen attempt that was replaced ends {frozen['woken_ended_worst_s']:.2f} s after it wakes (worst of "
            f"{frozen['repetitions']}; target 1 s).\n"
        )
    if "worker_ended_worst_s" in stopped:
        yield (
            f"A worker has ended {stopped['worker_ended_worst_s']:.2f} s after SIGTERM, with "
            f"{stopped['steps_lost_worst']} steps lost (worst of {stopped['repetitions']}; targets 5 s and none).\n"
        )
    server = report["keepfit"].get("server restart")
    if server:
        yield (
            f"The queue server killed {server['repetitions']} times under one job: training stopped "
            f"{server['training_stopped']} times; events arrived again after {server['p50_s']:.1f} s (p95 "
            f"{server['p95_s']:.1f} s).\n"
        )


def _peer(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not run"
    if not row["recovered"]:
        return f"not within {row['bound_s']:.0f} s ({row['tries']} tries)"
    return f"{row['p50_s']:.1f} (worst {row['worst_s']:.1f}, {row['recovered']} of {row['tries']})"


def stock_keras(found: dict[str, dict[str, str]]) -> Iterator[str]:
    """Exactness of stock Keras in the same harness."""
    yield "## Stock Keras, killed in the same harness\n"
    yield "120 steps were asked for; what the run ended with after one and after two kills, compared bit by bit.\n"
    rows = [[*name.rsplit(" / ", 1), row["once"], row["twice"]] for name, row in found.items()]
    yield table(["by", "model", "killed once", "killed twice"], rows)


def before_after(found: dict[str, Any]) -> Iterator[str]:
    """What the latest large change cost."""
    yield "## Before and after\n"
    yield (
        f"The benchmarks on commit {found['ref']} and on this version, in turn in one run on one machine "
        f"({found['cores']} cores, {found['date']}, {found['rounds']} rounds"
        f"{', the short forms' if found['quick'] else ''}; `bench/before_after.py`). Noise is how far apart the rounds "
        "of one side lie.\n"
    )
    rows = [
        [name, f"{row['before']:.3f}", f"{row['after']:.3f}", f"{row['change']:+.1%}{' worse' if row['worse'] else ''}",
         f"{row['noise']:.1%}"]
        for name, row in found["numbers"].items()
    ]  # fmt: skip
    yield table(["number", "before", "after", "change", "noise"], rows)


def many_jobs(found: dict[str, Any]) -> Iterator[str]:
    """What stays quick with many jobs."""
    yield f"## {found['jobs']:,} jobs\n"
    missed = ", ".join(found["missed"]) or "none"
    yield (
        f"`keepfit up` on a data directory of {found['jobs']:,} jobs and an empty queue server: {found['filled']}. "
        f"{found['cores']} cores, {found['date']}, load at the end {found['load']:.1f}. Targets missed: {missed}.\n"
    )
    rows = [
        ["ready", f"{found['ready_s']:.1f} s", "10 s"],
        ["every job is in the queue server, after the start", f"{found['rebuilt_after_start_s']:.1f} s", ""],
        ["the same after FLUSHALL", f"{found['rebuilt_after_wipe_s']:.1f} s", "60 s"],
        ["longest silence of the worker's beat, rebuilds included", f"{found['longest_silence_s']:.1f} s", "3 s"],
        ["a killed child trains again, worst", f"{found['killed_child_worst_s']:.2f} s", "3 s"],
        ["from submit to start, worst", f"{found['submit_to_start_worst_s']:.2f} s", "2 s"],
        ["idle worker, share of a core", f"{found['idle_worker_share']:.1%}", "2 %"],
        ["idle web side, share of a core", f"{found['idle_web_share']:.1%}", ""],
        ["memory: web side, worker's main process", f"{found['web_mb']:.0f}, {found['worker_main_mb']:.0f} MB", ""],
        ["memory: queue server", f"{found['server_rss_mb']:.0f} MB", ""],
    ]
    yield table(["", "measured", "target"], rows)
    meanwhile = found["pages_meanwhile_ms"]
    yield (
        f"While the server was rebuilt, the list was asked for {meanwhile['asked']} times: {meanwhile['p50']:.0f} ms "
        f"(p99 {meanwhile['p99']:.0f}, worst {meanwhile['worst']:.0f}), {found['pages_meanwhile_failed']} failed, and "
        f"it never had fewer than {found['lists_meanwhile_shortest']:,} jobs.\n"
    )
    yield "200 requests each over one connection; target for the list's pages: p99 of 100 ms.\n"
    pages = [[name, f"{row['p50']:.1f} ms", f"{row['p99']:.1f} ms"] for name, row in found["pages_ms"].items()]
    yield table(["request", "p50", "p99"], pages)


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    seen_by_people = {"engine": speed, "whole_job": whole_job, "first_step": first_step, "wishes": wishes}
    for name, write in seen_by_people.items():
        if found := read(name):
            parts += write(found)
    cost, snapshots = read("checkpoint_cost"), read("snapshots")
    if cost or snapshots:
        parts += checkpoints(cost, snapshots)
    last = {"recovery": recovery, "many_jobs": many_jobs, "resume_vs_keras": stock_keras, "before_after": before_after}
    for name, write in last.items():
        if found := read(name):
            parts += write(found)
    if rows := read_history():
        parts += trend(rows)
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
