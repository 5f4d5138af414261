"""The section on tuning: what was looked for with each loss, within equal budgets, and what was found."""

import json
from typing import Any

import pandas as pd

from eventspeech.params import Changes, Tuned
from eventspeech.records.tuning import Tuning
from eventspeech.report.formats import inline
from eventspeech.report.results import Results, plain
from eventspeech.report.words import capital, percent, short, signed, title

HEADING = "## Tuning: each loss at its best"

NOTHING = """\
Nothing was tuned in this study (`tune.losses` is empty): the losses are compared with the values of the parameter file.
`eventspeech preset tune` prints a file that looks for better ones."""

HOW = """\
For each loss the same number of trials was made, each a training with other values, judged by the samples held out; the
test split was not read. The best of many trials looks better in validation than it is: how good it is, a study with
these values tells, on other seeds. What was found lies in `results/tune/LOSS/best.yaml`, which `--configfile` takes."""


def section(results: Results) -> str:
    """Return the text of the section: what was found, or that nothing was tuned, and which values hold here."""
    paragraphs = [HEADING, HOW if results.tuning else NOTHING]
    paragraphs += [_of_loss(found) for found in results.tuning.values()]
    if budget := _budget(results):
        paragraphs.append(budget)
    paragraphs += [held for held in (_in_force(results, loss) for loss in results.losses) if held]
    return "\n\n".join(paragraphs)


def tuned(results: Results) -> pd.DataFrame:
    """Return a row a loss: its budget, what it reached, and the best values."""
    rows = []
    for loss, found in results.tuning.items():
        best, stands = found.accuracies[found.best], found.as_it_stands
        rows.append({
            "loss": title(loss),
            "trials": str(len(found.trials)),
            "given up early": str(_count(found, "pruned")),
            "failed": str(_count(found, "failed")),
            "epochs": str(found.epochs),
            "time of all epochs (s)": short(found.duration_s),
            "as the file stands (%)": percent(stands),
            "best trial (%)": percent(best),
            "difference (points)": "" if stands is None else signed(100 * (best - stands)),
            "best values": "; ".join(f"{key} = {shown(value)}" for key, value in found.values[found.best].items()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def shown(value: Any) -> str:
    """Return a value of a parameter as the report writes it."""
    return short(value, 4) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _count(found: Tuning, state: str) -> int:
    return sum(row.state == state for row in found.trials)


def _of_loss(found: Tuning) -> str:
    best = found.accuracies[found.best]
    reached = f"{capital(title(found.loss))}: {percent(best)} % in validation in trial {found.best}"
    if found.as_it_stands is None:
        told = f"{reached}; the file's own values lie outside of what was looked for."
    elif best > found.as_it_stands:
        told = f"{reached}, in place of {percent(found.as_it_stands)} % as the file stands."
    else:
        told = f"{reached}: no trial was better than the file as it stands."
    values = "; ".join(f"`{key}` {shown(value)}" for key, value in found.values[found.best].items())
    return f"{inline(told)} Values: {values}."


def _budget(results: Results) -> str:
    """Say whether the losses had equal budgets."""
    trials = {len(found.trials) for found in results.tuning.values()}
    if len(results.tuning) < 2 or len(trials) > 1:
        return ""
    epochs = ", ".join(f"{title(loss)} {found.epochs}" for loss, found in results.tuning.items())
    return inline(
        f"Budgets are equal in trials, {trials.pop()} each; since those that fall behind are given up, they differ in "
        f"epochs: {epochs}."
    )


def _in_force(results: Results, loss: str) -> str:
    """Say which values of an earlier tuning a loss of this study is trained with."""
    held = results.params.shape[loss].tuned
    if held == Tuned():
        return ""
    values = plain(held.model_dump(mode="json", include={*Changes.model_fields, "shape"}, exclude_defaults=True))
    told = ", ".join(f"`{key}` {value}" for key, value in values.items())
    return f"{inline(capital(title(loss)))} is trained here with values that were found earlier: {told}."
