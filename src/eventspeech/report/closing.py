"""What stands at the end of a run: the findings in a few lines."""

from pathlib import Path

from eventspeech.report import claims
from eventspeech.report.results import Results
from eventspeech.report.words import percent, short, shortened, title, with_interval

NAME = "findings.txt"
"""File among the tables that keeps these lines."""

MOST_LOSSES = 6

STATUSES = {
    claims.HOLDS: "hold",
    claims.FAILS: "do not hold",
    claims.UNDECIDED: "undecided",
    claims.UNTESTABLE: "cannot be tested",
}


def lines(results: Results, found: list[claims.Finding], page: Path) -> list[str]:
    """Return at most twelve lines: accuracies by loss with intervals, verdicts, where the report is, time spent."""
    seeds, folds = len(results.seeds), len(results.folds)
    jobs = f"{seeds} seed{'s' if seeds > 1 else ''}" + (f", {folds} folds" if folds > 1 else "")
    names: dict[str | None, str] = {loss: shortened(title(loss), 32) for loss in results.losses[:MOST_LOSSES]}
    names[None] = "logistic regression"
    width = max(map(len, names.values()))
    told = [f"Found on {claims.data_of(results)} ({jobs}), test and best validation accuracy in %:"]
    for loss, name in names.items():
        test, validation = _accuracies(results, loss)
        told.append(f"  {name:<{width}}  {test}, {validation}")
    if (more := len(results.losses) - MOST_LOSSES) > 0:
        told.append(f"  and {more} more losses in {page.parent / 'tables' / 'accuracies.md'}")
    counts = ", ".join(f"{count} {STATUSES[status]}" for status, count in claims.summary(found).items())
    told.append(f"Parts of published claims: {counts}.")
    marks = {"Collapsed runs": "collapsed_runs", "Runs with numerical accidents": "accident_runs"}
    counts_of = {words: int(results.compare_summary[name]) for words, name in marks.items()}
    marked = [f"{words}: {count}; " for words, count in counts_of.items() if count]
    if marked:
        told.append("".join(marked) + "the table of runs names them.")
    told.append(f"Report: {page} ({_time(results)}).")
    return told


def _accuracies(results: Results, loss: str | None) -> tuple[str, str]:
    """Return test and best validation accuracy of a loss, or of logistic regression."""
    if loss is None:
        test, validation = percent(results.baseline["accuracy"]), percent(results.baseline_validation)
    else:
        row = results.of_loss(loss)
        test, validation = with_interval(row, "test"), with_interval(row, "best_validation")
    return test or "unknown", validation or "unknown"


def _time(results: Results) -> str:
    """Say how long the trainings took."""
    known = [run["summary"].get("duration_s") for run in results.runs.values()]
    known = [duration for duration in known if duration is not None]
    count = f"{len(results.runs)} training{'s' if len(results.runs) > 1 else ''}"
    return f"{count} of {short(sum(known))} s in all" if len(known) == len(results.runs) else f"{count}, time unknown"
