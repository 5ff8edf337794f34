"""Draws what the benchmarks have found: bench/results/*.json to docs/images/*.png. Runs where matplotlib is."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
COLOURS = {"fit": "#b8c4d0", "fit-64": "#7f95ab", "keepfit": "#1f6f5c"}
PEERS = {
    "keepfit": ("Keepfit, p95", "#1f6f5c"),
    "celery": ("plain Celery, acks_late, worst try", "#7f95ab"),
    "rq": ("RQ, defaults, worst try", "#b8c4d0"),
}
TITLES = {"fit": "model.fit", "fit-64": "model.fit, steps_per_execution=64", "keepfit": "Keepfit, checkpoints included"}


def epochs(report: dict[str, Any]) -> None:
    """Seconds an epoch, one group of bars a model."""
    rows = report["epoch"]
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for shift, contender in enumerate(TITLES):
        heights = [row[contender]["median_s"] for row in rows.values()]
        places = [i + (shift - 1) * 0.27 for i in range(len(rows))]
        bars = axes.bar(places, heights, 0.25, color=COLOURS[contender], label=TITLES[contender])
        axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=2)
    for i, row in enumerate(rows.values()):
        factor = row["fit"]["median_s"] / row["keepfit"]["median_s"]
        axes.text(i + 0.27, -0.03, f"{factor:.1f}x", transform=axes.get_xaxis_transform(), ha="center", va="top",
                  fontsize=8, weight="bold", color=COLOURS["keepfit"])  # fmt: skip
    axes.set_xticks(range(len(rows)), [name.replace("-", "\n") for name in rows])
    axes.tick_params(axis="x", length=0, pad=16)
    axes.set_ylabel("seconds an epoch")
    machine = report["machine"]
    axes.set_title(f"60,000 images, batch 32, {machine['threads']} threads, {machine['cpu']}", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    save(figure, "epochs")


def recovery(report: dict[str, Any]) -> None:
    """Seconds to the next optimizer step after each fault: Keepfit's 95th percentile, the peers' worst try."""
    faults = [name for name, row in report["keepfit"].items() if "target_p95_s" in row]
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for shift, peer in enumerate(peer for peer in PEERS if peer in report):
        rows = [report[peer].get(fault, {}) for fault in faults]
        bound = max(row.get("bound_s", 0) for row in rows)
        found = [row.get("p95_s", row.get("worst_s")) for row in rows]
        places = [i + (shift - 1) * 0.27 for i in range(len(faults))]
        bars = axes.barh(places, [value or bound for value in found], 0.25, color=PEERS[peer][1], label=PEERS[peer][0])
        axes.bar_label(bars, [f"{v:.1f} s" if v else f"not within {bound:.0f} s" for v in found], fontsize=7, padding=3)
    for i, fault in enumerate(faults):
        target = report["keepfit"][fault]["target_p95_s"]
        axes.plot([target, target], [i - 0.42, i - 0.13], color="black", linewidth=1)
    axes.set_yticks(range(len(faults)), faults)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 400)
    axes.set_xlabel("seconds from the fault to the next optimizer step (black: Keepfit's target)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=len(PEERS))
    save(figure, "recovery")


def save(figure: Any, name: str) -> None:
    """Write one picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / f"{name}.png", dpi=110)
    plt.close(figure)


def main() -> None:
    """Draw what there are results for."""
    for name, draw in {"engine": epochs, "recovery": recovery}.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            draw(json.loads(path.read_text()))


if __name__ == "__main__":
    main()
