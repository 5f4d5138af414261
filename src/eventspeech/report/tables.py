"""The tables of the report: plain functions from results to tables of short texts.

Accuracies are shown in percent. An unknown number is an empty cell or says why. The unrounded numbers are in
results/compare and results/profile.
"""

import math
import re
from typing import Any

import numpy as np
import pandas as pd

from eventspeech import losses, machine
from eventspeech.files import sha256
from eventspeech.records.measurement import NOT_MEASURED
from eventspeech.report import published
from eventspeech.report.results import Results, ablation_measures, ablation_order, plain
from eventspeech.report.words import measure_name, percent, short, signed, title, with_interval


def accuracies(results: Results) -> pd.DataFrame:
    """Return accuracies by loss: mean and interval over seeds, then the published numbers on SHD."""
    rows = []
    for loss in results.losses:
        row = results.of_loss(loss)
        rows.append({
            "model": title(loss),
            "seeds": str(int(row["seeds"])),
            "folds": str(int(row["folds"])) if row["folds"] > 1 else "",
            "best validation (%)": with_interval(row, "best_validation"),
            "its sd over folds (%)": percent(row["best_validation_sd_over_folds"]),
            "mean best epoch": f"{row['best_epoch_mean']:.1f}",
            "test (%)": with_interval(row, "test"),
            "test, heard speakers (%)": with_interval(row, "test_heard"),
            "test, speakers never heard (%)": with_interval(row, "test_unheard"),
            "collapsed runs": str(int(row["collapsed"])),
            **_without_collapsed(row),
            "source": "this study",
        })  # fmt: skip
    rows.append({
        "model": "logistic regression on binned counts",
        "best validation (%)": percent(results.baseline_validation),
        "test (%)": percent(results.baseline["accuracy"]),
        "test, heard speakers (%)": percent(results.baseline.get("accuracy_heard")),
        "test, speakers never heard (%)": percent(results.baseline.get("accuracy_unheard")),
        "source": "this study",
    })  # fmt: skip
    rows.append({"model": "guessing", "test (%)": percent(results.chance), "source": "chance"})
    rows.extend(_published_row(entry) for entry in published.ACCURACIES)
    table = pd.DataFrame(rows).fillna("")
    return _without_empty(table, ["folds", "its sd over folds (%)", *WITHOUT_COLLAPSED.values()])


WITHOUT_COLLAPSED = {
    "best_validation": "best validation without collapsed runs (%)",
    "test": "test without collapsed runs (%)",
}


def _without_collapsed(row: Any) -> dict[str, str]:
    if row["collapsed"] == row["runs"]:
        return dict.fromkeys(WITHOUT_COLLAPSED.values(), "every run collapsed")
    return {text: percent(row[f"{name}_mean_without_collapsed"]) for name, text in WITHOUT_COLLAPSED.items()}


def _published_row(entry: published.Accuracy) -> dict[str, str]:
    test = percent(entry.test)
    return {
        "model": f"{entry.kind} (published, SHD)",
        "best validation (%)": percent(entry.validation),
        "mean best epoch": "" if entry.validation_epoch is None else str(entry.validation_epoch),
        "test (%)": test if entry.test_sd is None else f"{test} ± {percent(entry.test_sd)}",
        "source": entry.source,
    }


def runs(results: Results) -> pd.DataFrame:
    """Return one row a run: nothing is averaged away here."""
    table = results.compare["runs"]
    shown = pd.DataFrame({"loss": table["loss"].map(title), "seed": table["seed"].astype(str)})
    if len(results.folds) > 1:
        shown["fold"] = table["fold"].astype(str)
    shown["epochs"] = table["epochs"].astype(str)
    shown["best epoch"] = table["best_epoch"].astype(str)
    columns = {"best_validation": "best validation (%)", "final_validation": "last validation (%)"}
    columns |= {"final_training": "last training (%)", "test": "test (%)", "test_heard": "test, heard (%)"}
    for name, text in (columns | {"test_unheard": "test, never heard (%)"}).items():
        shown[text] = table[name].map(percent)
    shown["hidden spikes per neuron"] = table["hidden_spikes"].map(short)
    collapsed = table["collapse_epoch"].map(lambda epoch: f"collapsed in epoch {epoch:.0f}" if epoch == epoch else "")
    accidents = table["accident"].map(lambda kinds: kinds if isinstance(kinds, str) else "")
    shown["remark"] = ["; ".join(filter(None, pair)) for pair in zip(accidents, collapsed, strict=True)]
    return _without_empty(shown, ["test, never heard (%)", "remark"])


def folds(results: Results) -> pd.DataFrame:
    """Return what each fold reaches, mean and standard deviation over seeds; then mean and deviation over folds."""
    table = results.compare["folds"].astype({"fold": str})
    rows = []
    for loss in results.losses:
        of_loss = table[table["loss"] == loss]
        names = ("best_validation", "minus_reference")
        means = {name: of_loss[f"{name}_mean"] for name in names}
        shown = [(fold, [(row[f"{name}_mean"], row[f"{name}_sd"]) for name in names])
                 for fold, row in zip(of_loss["fold"], of_loss.to_dict("records"), strict=True)]  # fmt: skip
        shown.append(("all folds", [(means[name].mean(), means[name].std(ddof=1)) for name in names]))
        for fold, (validation, difference) in shown:
            rows.append({
                "loss": title(loss),
                "fold": fold,
                "best validation (%)": _with_sd(percent, *validation),
                f"minus {title(results.params.compare.reference)} (points)": ""
                if loss == results.params.compare.reference
                else _with_sd(lambda value: signed(100 * value), *difference),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _with_sd(text: Any, mean: float, sd: float) -> str:
    return f"{text(mean)} ± {percent(sd)}" if math.isfinite(sd) else text(mean)


def time_to_accuracy(results: Results) -> pd.DataFrame:
    """Return the first epoch that reaches each validation accuracy; runs that never do are counted."""
    rows = []
    for _, row in results.compare["time_to_accuracy"].iterrows():
        interval = f" [{row['low']:.1f}, {row['high']:.1f}]" if np.isfinite(row["low"]) else ""
        mean = f"{row['mean_epoch_of_reached']:.1f}{interval}" if row["reached"] else "none reached it"
        rows.append({
            "loss": title(row["loss"]),
            "validation accuracy (%)": f"{100 * row['threshold']:g}",
            "runs that reach it": f"{row['reached']:.0f} of {row['runs']:.0f}",
            "median epoch": short(row["median_epoch"]) or "not reached by half of the runs",
            "mean epoch of those that do": mean,
        })  # fmt: skip
    return pd.DataFrame(rows)


def learned_weights(results: Results) -> pd.DataFrame:
    """Return learned weights at eleven moments of the trial, one row a run, after their start and fixed weights."""
    x = np.linspace(0, 1, 11)
    rows: list[tuple[tuple[str, str, str], np.ndarray]] = []
    for loss in results.learned:
        name, shape = title(loss), results.params.shape[loss]
        found = {f"{kind} of the same mean": fixed for kind, fixed in results.fixed_weights(loss).items()}
        rows += [((name, what, ""), losses.weight(fixed, x)) for what, fixed in ({"start": shape} | found).items()]
        learned = zip(results.of(loss), results.weights_learned(loss, x), strict=True)
        rows += [((name, f"seed {run['seed']}", run["fold"]), w) for run, w in learned]
    columns = ["loss", "weight", "fold", *(f"x = {moment:.1f}" for moment in x)]
    table = pd.DataFrame([[*names, *(f"{value:.3f}" for value in w)] for names, w in rows], columns=columns)
    return table if len(results.folds) > 1 else table.drop(columns="fold")


def differences(results: Results) -> pd.DataFrame:
    """Return paired differences from the reference with interval, p, verdict and what could have been detected."""
    early = int(results.compare_summary["early_epochs"])
    rows = []
    for _, row in results.compare["differences"].iterrows():
        scale, unit = (100, "points") if row["unit"] == "fraction" else (1, "epochs")
        known = {name: scale * row[name] for name in ("mean", "detectable")}
        suffixes = ("", "_over_folds", "_without_collapsed")
        intervals = [[scale * row[name + suffix] for name in ("low", "high")] for suffix in suffixes]
        interval, over_folds, without = (_interval(*bounds) for bounds in intervals)
        rows.append({
            "loss": title(row["loss"]),
            "measure": measure_name(row["measure"], early),
            "unit": unit,
            f"difference from {title(row['reference'])}": signed(known["mean"]) if np.isfinite(row["mean"]) else "",
            "interval": interval,
            "interval over folds": over_folds,
            "pairs": str(int(row["pairs"])),
            "p": f"{row['p']:.2g}" if np.isfinite(row["p"]) else "",
            "detectable": f"{known['detectable']:.1f}" if np.isfinite(row["detectable"]) else "",
            "verdict": row["verdict"],
            "without collapsed runs": _signed(scale * row["mean_without_collapsed"], without),
            "reason": row["reason"] if isinstance(row["reason"], str) else "",
        })  # fmt: skip
    return _without_empty(pd.DataFrame(rows), ["interval over folds", "without collapsed runs", "reason"])


def _interval(low: float, high: float) -> str:
    return f"[{signed(low, 0.0)}, {signed(high, 0.0)}]" if np.isfinite(low) else ""


def _signed(mean: float, interval: str) -> str:
    return f"{signed(mean)} {interval}".strip() if np.isfinite(mean) else ""


def ablation(results: Results) -> pd.DataFrame:
    """Return what each entry of an ablation changes, and its paired differences from the reference."""
    early, rows = int(results.compare_summary["early_epochs"]), []
    for loss in [results.params.compare.reference, *ablation_order(results)]:
        changes = [f"{key}: {old or 'none'} → {new or 'none'}" for key, (old, new) in results.changes(loss).items()]
        row = {"entry": title(loss), "change": "; ".join(changes)}
        row["best validation (%)"] = with_interval(results.of_loss(loss), "best_validation")
        for measure in ablation_measures(results) if changes else []:
            found, name = results.difference(loss, measure), measure_name(measure, early)
            intervals = [[100 * found[end + suffix] for end in ("low", "high")] for suffix in ("", "_over_folds")]
            seeds, folds = (_interval(*bounds) for bounds in intervals)
            verdict = {"higher": "helps", "lower": "harms"}.get(found["verdict"], found["verdict"])
            row[f"{name} (points)"] = f"{_signed(100 * found['mean'], seeds)}, {verdict}"
            row[f"{name}, over folds"] = folds
        rows.append(row)
    table = pd.DataFrame(rows).fillna("")
    return _without_empty(table, [name for name in map(str, table) if name.endswith("over folds")])


def _without_empty(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Drop those of the named columns that say nothing in any row."""
    return table.drop(columns=[name for name in names if name in table and not table[name].any()])


def profile(results: Results) -> pd.DataFrame:
    """Return time, power, energy and memory of an epoch by device and batch size; the reason where unknown."""
    rows = []
    for row in results.profile:
        time = short(row.get("epoch_time_s"))
        if time and row.get("epoch_time_low_s") is not None:
            time += f" [{short(row['epoch_time_low_s'])}, {short(row['epoch_time_high_s'])}]"
        reasons = [row.get("reason"), row.get("energy_reason"), *_how_to_measure(row)]
        rows.append({
            "device": {"cpu": "CPU", "cuda": "GPU"}[row["device"]],
            "batch size": str(row["batch_size"]),
            "status": row["status"],
            "time of an epoch (s)": time,
            "power (W)": short(row.get("power_w")),
            "idle power (W)": short(row.get("idle_power_w")),
            "energy": row.get("energy_status") or "not measured",
            "energy of an epoch (J)": short(row.get("energy_per_epoch_j")),
            "by power samples (J)": short(row.get("energy_sampled_per_epoch_j")),
            "estimate of it, by a model (J)": short(row.get("energy_estimate_per_epoch_j")),
            "above idle (J)": short(row.get("energy_net_per_epoch_j")),
            "energy of a sample (J)": short(row.get("energy_per_sample_j")),
            "peak memory (MiB)": short(row.get("peak_memory_mib")),
            "updates an epoch": str(row.get("updates_per_epoch") or ""),
            "accuracy of the last epoch (%)": short(_percent_of(row.get("accuracy"))),
            "steps shortened by Adam's epsilon (%)": short(_percent_of(row.get("adam_damping"))),
            "reason": "; ".join(dict.fromkeys(reason for reason in reasons if reason)),
        })  # fmt: skip
    table = pd.DataFrame(_joined(rows, "batch size"))
    learning = ["updates an epoch", "accuracy of the last epoch (%)", "steps shortened by Adam's epsilon (%)"]
    joules = (name for name in map(str, table) if name.endswith("(J)"))
    return _without_empty(table, ["power (W)", "idle power (W)", *learning, *joules])


def _how_to_measure(row: dict[str, Any]) -> list[str]:
    """Say what a row of a GPU that was not measured needs."""
    if row["device"] != "cuda" or row["status"] != NOT_MEASURED:
        return []
    return [
        "to measure it, run `snakemake --forcerun profile_cuda` where `eventspeech doctor` finds a GPU "
        '(`pip install -c constraints.txt -e ".[cuda]"`)'
    ]


def _joined(rows: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    """Return rows of a table, those in one that follow each other and differ in this column alone."""
    joined: list[dict[str, str]] = []
    for row in rows:
        if joined and {**joined[-1], name: ""} == {**row, name: ""}:
            joined[-1] = row | {name: f"{joined[-1][name]}, {row[name]}"}
        else:
            joined.append(row)
    return joined


def _percent_of(share: float | None) -> float | None:
    return None if share is None else 100 * share


def machines(results: Results) -> pd.DataFrame:
    """Return machine, versions and commit of this report beside those of the trainings and measurements."""
    columns = {"report": machine.facts()}
    for stage, rows in {
        "training": [run["summary"] for run in results.runs.values()],
        "profile": results.profile,
    }.items():
        kinds = [row["machine"] for row in rows if row.get("machine")]
        distinct = list({repr(kind): kind for kind in kinds}.values())
        for number, kind in enumerate(distinct, 1):
            columns[stage if len(distinct) == 1 else f"{stage} {number}"] = kind
    flat = {
        name: plain({fact: value for fact, value in facts.items() if value != {}}) for name, facts in columns.items()
    }
    for facts in flat.values():
        facts["git_commit"] = facts.get("git_commit", "")[:12]
    names = list(dict.fromkeys(name for facts in flat.values() for name in facts))
    # a doubt that one machine has is none of the others'
    missing = {name: "" if name.startswith("doubts.") else "unknown" for name in names}
    rows = [
        {"fact": name} | {column: facts.get(name) or missing[name] for column, facts in flat.items()} for name in names
    ]
    return pd.DataFrame(rows)


def parameters(results: Results) -> pd.DataFrame:
    """Return every parameter of the file, defaults included."""
    flat = plain(results.params.model_dump(mode="json", exclude_none=True))
    flat = {key: value for key, value in flat.items() if not re.search(r"\.(changes|tuned)\.", key) or value != "{}"}
    return pd.DataFrame({"parameter": list(flat), "value": list(flat.values())})


def data_set(results: Results) -> pd.DataFrame:
    """Return the statistics of both splits side by side; of lists the length, of tallies the range.

    Speakers are those who speak in a split, and samples of the training split those learned from and those held out.
    """
    flat = {split: _statistics(results, split) for split in results.statistics}
    names = list(dict.fromkeys(name for content in flat.values() for name in content))
    shown = {name: re.sub(r"_ms(?=$|\.)", " (ms)", name).replace(".", ": ").replace("_", " ") for name in names}
    rows = [
        {"quantity": shown[name]} | {split: content.get(name, "") for split, content in flat.items()} for name in names
    ]
    return pd.DataFrame(rows)


def _statistics(results: Results, split: str) -> dict[str, str]:
    content: dict[str, Any] = {}
    for name, value in results.statistics[split].items():
        if name == "spikes_sha256":
            continue  # has a table of its own
        content[name] = value
        if name == "samples" and split == "train":
            content["samples_learned_from"] = results.training_samples
            content["samples_held_out_for_validation"] = results.validation_samples
    if spoken := content.get("samples_per_speaker"):
        content["speakers"] = [name for name, count in spoken.items() if count]
    return plain({name: _summarised(value) for name, value in content.items()}, digits=4)


def _summarised(value: Any) -> Any:
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict) and value and all(isinstance(count, int) for count in value.values()):
        least, most = min(value.values()), max(value.values())
        return str(least) if least == most else f"{least} to {most}"
    return value


def steps_of_study(results: Results) -> pd.DataFrame:
    """Return time and memory of the jobs of each stage, in the order in which stages run."""
    rows = []
    for stage in stages_that_ran(results):
        jobs = [cost for cost in results.costs if cost.stage == stage]
        known = [cost for cost in jobs if math.isfinite(cost.wall_s)]
        longest = max(known, key=lambda cost: cost.wall_s, default=None)
        rows.append({
            "stage": stage,
            "jobs": str(len(jobs)),
            "time in all (s)": short(sum(cost.wall_s for cost in known)),
            "of the longest (s)": short(longest.wall_s if longest else None),
            "which": longest.job if longest and len(jobs) > 1 else "",
            "time of all cores (s)": short(_sum_of_known([cost.cpu_s for cost in jobs])),
            "most memory (MiB)": short(max((c.memory_mib for c in jobs if math.isfinite(c.memory_mib)), default=None)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _sum_of_known(values: list[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else None


def stages_that_ran(results: Results) -> list[str]:
    """Return the stages whose time is known, in the order of the graph, those it does not know last."""
    found = {cost.stage for cost in results.costs}
    return [*(stage for stage in STAGES if stage in found), *sorted(found - set(STAGES) - {"report"})]


STAGES = (
    "download", "preprocess", "baseline", "train", "evaluate_baseline", "evaluate", "compare", "profile_cpu",
    "profile_cuda", "tune",
)  # fmt: skip
"""Stages before the report, in the order in which they run."""


def checksums(results: Results) -> pd.DataFrame:
    """Return the SHA-256 of the data and of every trained model, as the stages told them."""
    rows = [{"file": "data/spikes/train.npz", "SHA-256": sha256(results.spikes / "train.npz")}]
    if told := results.statistics["test"].get("spikes_sha256"):  # this file itself is not for the report to open
        rows.append({"file": "data/spikes/test.npz", "SHA-256": told})
    for (loss, seed, fold), run in results.runs.items():
        file = f"results/train/{loss}/{seed}/{fold}/weights.npz"
        rows.append({"file": file, "SHA-256": run["metrics"]["model"]["sha256"]})
    return pd.DataFrame(rows)
