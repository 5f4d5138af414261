"""Figures of how the study was made: its graph, and what each stage of it took."""

import math

from matplotlib.figure import Figure

from eventspeech.report.figures.style import COLOURS, GREY, background, is_narrow, panels, sentence
from eventspeech.report.results import Results
from eventspeech.report.tables import stages_that_ran
from eventspeech.report.words import short

PLACES = {
    "download": (0, 0), "preprocess": (1, 0), "train": (2, 0), "evaluate": (3, 0), "compare": (4, 0), "report": (5, 0),
    "baseline": (2, 1), "evaluate_baseline": (3, 1), "profile_cpu": (2, 2), "profile_cuda": (3, 2),
    "tune": (4, 2),
}  # fmt: skip
"""Stage to column and row of its box."""

ARROWS = (
    ("download", "preprocess"), ("preprocess", "train"), ("train", "evaluate"), ("evaluate", "compare"),
    ("compare", "report"), ("preprocess", "baseline"), ("baseline", "evaluate_baseline"),
    ("evaluate_baseline", "compare"), ("preprocess", "profile_cpu"), ("preprocess", "profile_cuda"),
    ("profile_cpu", "report"), ("profile_cuda", "report"), ("preprocess", "tune"), ("tune", "report"),
)  # fmt: skip

NOT_KNOWN = "What each step took is not known: Snakemake did not run this study, or its folder benchmarks is elsewhere."


def jobs(results: Results) -> dict[str, int]:
    """Return how many jobs each stage of the study has."""
    folds, runs = len(results.folds), len(results.runs)
    profile = results.params.profile
    counts = {"download": 1, "preprocess": 2, "baseline": folds, "train": runs, "evaluate": runs, "compare": 1}
    counts |= {"evaluate_baseline": folds, "report": 1}
    counts |= {"profile_cpu": len(profile.cpu_batch_sizes), "profile_cuda": len(profile.cuda_batch_sizes)}
    return counts | {"tune": len(results.params.tune.losses)}


@background
def graph(results: Results) -> Figure:
    """Draw the stages of the study as boxes with the number of their jobs, an arrow from each to those that need it."""
    figure, grid = panels(1, 1, 4.6 if is_narrow() else 2.3)
    axes = grid[0, 0]
    axes.set_axis_off()
    places = {stage: (row, -column) if is_narrow() else (column, -row) for stage, (column, row) in PLACES.items()}
    counts = {stage: count for stage, count in jobs(results).items() if count}
    for before, after in ARROWS:
        if before in counts and after in counts:
            arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 16, "shrinkB": 16, "linewidth": 0.9}
            axes.annotate("", places[after], places[before], arrowprops=arrow)
    for stage, count in counts.items():
        words = f"{stage.replace('_', chr(10))}\n{count} job{'s' if count > 1 else ''}"
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": COLOURS[0]}
        axes.text(*places[stage], words, ha="center", va="center", fontsize=7, bbox=box)
    xs, ys = zip(*places.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.5, max(ys) + 0.5))
    return figure


@background
def stage_costs(results: Results) -> Figure:
    """Draw the time in all and the most memory of each stage as bars."""
    stages = stages_that_ran(results)
    if not stages:
        return sentence(NOT_KNOWN)
    by_stage = {stage: [cost for cost in results.costs if cost.stage == stage] for stage in stages}
    times = [sum(cost.wall_s for cost in costs if math.isfinite(cost.wall_s)) for costs in by_stage.values()]
    memory = [
        max((cost.memory_mib for cost in costs if math.isfinite(cost.memory_mib)), default=0)
        for costs in by_stage.values()
    ]
    figure, grid = panels(1, 2, 0.8 + 0.2 * len(stages), sharey=True)
    for axes, values, text in zip(grid[0], (times, memory), ("time in all (s)", "most memory (MiB)"), strict=True):
        bars = axes.barh(range(len(stages)), values, color=COLOURS[0], height=0.65)
        axes.bar_label(bars, [short(value) if value else "unknown" for value in values], fontsize=6.5, padding=2)
        axes.set_yticks(range(len(stages)), stages)
        axes.set_xlabel(text)
        axes.margins(x=0.18)
        axes.grid(False, axis="y")
    grid[0, 0].set_ylim(len(stages) - 0.4, -0.6)
    return figure
