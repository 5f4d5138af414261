"""The verb `card`: a page beside a model that says what it is, after Mitchell et al. 2019 ("Model cards").

It is a verb and no stage: it reads what training and test left, times included, which differ from run to run. As an
output of `evaluate`, say, it would make every test run again after a training that gave the same weights.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eventspeech import statistics
from eventspeech.data import sources
from eventspeech.errors import DataError
from eventspeech.files import sha256, write_text
from eventspeech.params import Shape
from eventspeech.records import metrics, run
from eventspeech.records import model as model_file
from eventspeech.records.model import Model
from eventspeech.records.reading import Fields, again
from eventspeech.report.words import HELD_OUT

logger = logging.getLogger("eventspeech")

NAME = "card.md"
CONFIDENCE = 0.95
_UNKNOWN = sources.Words("of a source that the model does not name", "unknown")
_RULES = {"validation": "the best on those held out", "training": "the best in training", "last": "the last"}
_KINDS = {"heard": "learned from", "validation": "chose the epoch", "unheard": "never heard"}


def write(models: Sequence[Path], evaluation: Path | None = None) -> None:
    """Write ``card.md`` beside each model.

    Args:
        models: ``weights.npz`` that `train` made, with its history.csv and summary.json beside it.
        evaluation: folder that `evaluate` wrote of a single model; by default where a study has it, if it is there.

    Raises:
        DataError: a record is missing or damaged, a model is no network, or a test is another model's.
    """
    if evaluation is not None and len(models) > 1:
        raise DataError(f"--evaluation names the test of one model, but {len(models)} are given; give one of them.")
    for path in models:
        place = path.with_name(NAME)
        write_text(place, card(path, _evaluation(path) if evaluation is None else evaluation))
        logger.info("card: %s", place)


def _evaluation(path: Path) -> Path | None:
    """Return where a study keeps the test of a model of ``train/{loss}/{seed}/{fold}/``, None if nothing is there."""
    folder = path.absolute().parent
    if len(folder.parents) < 4 or folder.parents[2].name != "train":
        return None
    found = folder.parents[3] / "evaluate" / folder.relative_to(folder.parents[2])
    return found if (found / "metrics.json").exists() else None


def card(path: Path, evaluation: Path | None) -> str:
    """Return the card of a model, as Markdown."""
    found = model_file.load(path)
    if found.meta["kind"] != "spiking":
        raise DataError(f"{path} holds logistic regression, the baseline; give the weights.npz of a trained network.")
    job = {name: found.meta[name] for name in ("loss", "seed", "fold")}
    summary = _summary(path.parent, Shape(**found.meta["shape"]), job)
    tested = None if evaluation is None else _tested(evaluation, path, job)
    parts = [
        _head(path, found, summary),
        _data(found, summary),
        _accuracy(tested, summary, len(found.meta["class_names"])),
        _cost(found, summary, tested),
        _limits(found, tested),
    ]
    return "\n".join(parts)


def _summary(folder: Path, shape: Shape, job: dict[str, Any]) -> dict[str, Any]:
    content = run.read_summary(folder, shape, **job)
    found = Fields(content, folder / "summary.json", again("train"))
    for name in ("kind", "engine", "selected_by"):
        found.text(name)
    for name in ("weights", "threads"):
        found.count(name, least=1)
    found.number("hidden_spikes", 0)
    found.object("machine")
    return content


def _tested(evaluation: Path, path: Path, job: dict[str, Any]) -> dict[str, Any]:
    confusion, _ = metrics.read_confusion(evaluation / "confusion.csv")
    return metrics.read(evaluation / "metrics.json", path, confusion, **job)


def _head(path: Path, found: Model, summary: dict[str, Any]) -> str:
    on, meta = model_file.network_of(found), found.meta
    recurrent = "recurrent" if on.recurrent else "feed-forward"
    copies = f", through a delay line of {len(on.delay_steps)} copies" if len(on.delay_steps) > 1 else ""
    machine = summary["machine"]
    rows = {
        "file": f"{_text(path.name)}, SHA-256 `{sha256(path)}`",
        "made by": f"eventspeech {_text(machine.get('eventspeech') or '?')}, commit {_commit(machine)}",
        "network": f"{on.inputs} cochlea channels{copies}; {' + '.join(map(str, on.hidden))} {recurrent} leaky "
        f"integrate-and-fire neurons; {on.outputs} outputs; {summary['weights']:,} weights",
        "time": f"steps of {on.step_ms:g} ms, the first {on.trial_ms:g} ms of each recording",
        "loss": f"{_text(summary['kind'])}, trained by exact gradients (Eventprop)",
        "words": ", ".join(map(_text, meta["class_names"])),
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
    return f"""# A spiking network for {len(meta["class_names"])} words: {_text(meta["loss"])}, seed {meta["seed"]}

| | |
|---|---|
{table}

Use: `eventspeech predict {_text(path.name)} one.wav`. It tells recordings of single words apart, for research.
"""


def _data(found: Model, summary: dict[str, Any]) -> str:
    origin = model_file.origin(found)
    known = sources.named(origin.source).words if origin is not None and origin.source in sources.SOURCES else _UNKNOWN
    held_out = HELD_OUT.get(summary["protocol"], summary["protocol"])
    rule = _RULES.get(summary["selected_by"], "chosen")
    best = _percent(summary["best_validation_accuracy"])
    held = f"{summary['validation_samples']} held out ({held_out}: {_names(summary['validation_speakers'])})"
    return f"""## Data and protocol

- Data: {_text(known.data)}.
- Licence of the data: {_text(known.licence)}. That of this model is for whoever publishes it to choose, within that.
- Learned from {summary["training_samples"]} recordings of {_names(summary["heard_speakers"])}; {held}.
- {summary["epochs"]} epochs; epoch {summary["best_epoch"]} was kept ({rule}): validation accuracy {best}.
"""


def _accuracy(tested: dict[str, Any] | None, summary: dict[str, Any], classes: int) -> str:
    head = "## Accuracy on the test split\n\n"
    if tested is None:
        return (
            head + "Not tested: no evaluation was found. Run `eventspeech evaluate`, then `eventspeech card` again.\n"
        )
    speakers = tested["accuracy_by_speaker"]
    rows = [("all voices", "", tested["samples"], tested["accuracy"])]
    for kind, words in _KINDS.items():
        of_kind = [one for one in speakers.values() if _kind(one) == kind]
        count = sum(one["samples"] for one in of_kind)
        hits = sum(round(one["accuracy"] * one["samples"]) for one in of_kind)
        if 1 < len(of_kind) < len(speakers):
            rows.append((f"the {len(of_kind)} {words}", words, count, hits / count))
    rows += [(_text(name), _KINDS[_kind(one)], one["samples"], one["accuracy"]) for name, one in speakers.items()]
    lines = [
        f"| {name} | {words} | {count} | {_percent(accuracy)} | {_interval(accuracy, count)} |"
        for name, words, count, accuracy in rows
    ]
    share = f"{100 * CONFIDENCE:g} %"
    return f"""{head}Chance is {_percent(1 / classes)}. Intervals are Wilson's of {share}, over recordings: for further
recordings of the same voices. Other voices differ as much as these do among themselves.

| voices | in training | recordings | accuracy | interval |
|---|---|---|---|---|
{chr(10).join(lines)}
"""


def _kind(speaker: dict[str, Any]) -> str:
    return "heard" if speaker["heard"] else "validation" if speaker["validation"] else "unheard"


def _cost(found: Model, summary: dict[str, Any], tested: dict[str, Any] | None) -> str:
    spikes = summary["hidden_spikes"] if tested is None else tested["hidden_spikes"]
    machine, neurons = summary["machine"], sum(found.meta["network"]["hidden"])
    threads = f"{summary['threads']} thread{'' if summary['threads'] == 1 else 's'}"
    where = f"{_text(machine.get('cpu') or 'an unnamed processor')}, {threads}"
    where += f", {_text(machine['gpu'])}" if machine.get("gpu") and summary["engine"] != "cpu" else ""
    duration = "of unknown time" if summary["duration_s"] is None else f"{summary['duration_s']:.0f} s"
    each = "" if summary["ms_per_sample"] is None else f" ({summary['ms_per_sample']:.2g} ms a recording and epoch)"
    return f"""## Cost

- Training: {duration}{each} with the engine {_text(summary["engine"])} on {where}.
- Activity: {spikes:.1f} spikes per hidden neuron and recording, {spikes * neurons:,.0f} in all.
- Energy was not measured in this training; the study's profile measures it.
"""


def _limits(found: Model, tested: dict[str, Any] | None) -> str:
    on, origin = model_file.network_of(found), model_file.origin(found)
    voices = len(found.meta["heard_speakers"])
    limits = [
        "It knows its words only: any sound gets one of them, with probabilities that add up to one. They are the "
        "softmax of its loss and were not calibrated.",
        f"It hears recordings of one word, levelled, from their first instant on, for {on.trial_ms:g} ms.",
        f"It computes on a grid of {on.step_ms:g} ms" + _at_other_steps(tested),
        f"It learned from {voices} voices; voices, rooms and microphones of other kinds were not tested.",
    ]
    if origin is not None and origin.source == "synthetic":
        limits.append("It learned from synthesised speech: accuracy on human voices is unknown and likely far lower.")
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits) + "\n"


def _at_other_steps(tested: dict[str, Any] | None) -> str:
    rows = [] if tested is None else [row for row in tested["steps"] if row["step_ms"] != tested["step_ms"]]
    if not rows:
        return "; at other steps, or in other simulators, it answers otherwise."
    told = ", ".join(
        f"{_percent(row['accuracy'])} at {row['step_ms']:g} ms"
        + (" (dead time kept)" if row.get("dead_time") == "kept" else "")
        for row in rows
    )
    return f"; run at other steps the same weights reach {told}."


def _interval(accuracy: float, count: int) -> str:
    low, high = statistics.wilson(round(accuracy * count), count, CONFIDENCE)
    return f"{100 * low:.1f} to {_percent(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _commit(machine: dict[str, Any]) -> str:
    commit = machine.get("git_commit")
    changes = " with changes" if machine.get("git_modified") else ""
    return "unknown" if commit is None else f"`{_text(str(commit)[:12])}`{changes}"


def _names(names: Iterable[str], most: int = 12) -> str:
    listed = [_text(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "nobody by name"


def _text(text: Any) -> str:
    """Return a text that means itself in a table of Markdown."""
    return re.sub(r"([\\\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))
