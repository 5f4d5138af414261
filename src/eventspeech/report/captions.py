"""The captions of all figures and tables, and the files each is made from: the one place for both.

The notebook, the page, the front page of the repository and `snakemake --report` take them from here. An entry is named
like its function in :mod:`.figures` or :mod:`.tables`. In a caption ``{intervals}`` becomes what the study has of them,
``{loss}`` the loss that the function was called with.

``python -m eventspeech.report.captions .`` writes those of `snakemake --report` anew.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from eventspeech.files import write_text
from eventspeech.report.results import Results
from eventspeech.report.words import title


@dataclass(frozen=True)
class Entry:
    """A caption of one sentence.

    Attributes:
        text: the caption.
        data: the files it is made from, as the workflow names them; a folder where they are many, and none for what is
            computed from equations alone. ``{loss}`` stands for each loss shown, ``{seed}`` and ``{fold}`` for the
            first.
        of_results: whether it shows data, and has to say so where the data is synthetic or small.
    """

    text: str
    data: tuple[str, ...] = ()
    of_results: bool = True


_EXAMPLES = "results/evaluate/{loss}/{seed}/{fold}/examples.npz"

FIGURES = {
    "hodgkin_huxley": Entry(
        "Current pulses of 5, 10 and 15 ms and the voltage of a Hodgkin-Huxley neuron (squid axon, 1952): a pulse "
        "makes a spike, and only one long enough for the gates to recover makes a second.",
        of_results=False,
    ),
    "integrate_and_fire": Entry(
        "A leaky integrate-and-fire neuron: a current just below the threshold's leaves it silent, larger ones make it "
        "fire the faster the larger they are.",
        of_results=False,
    ),
    "izhikevich": Entry(
        "Firing patterns of Izhikevich's neuron with his published constants (2003): the same two equations, six kinds "
        "of cells.",
        of_results=False,
    ),
    "shapes": Entry(
        "Every fixed weight of this package against t / T with its own parameters, the bell among them; those of the "
        "study's losses are thick.",
        of_results=False,
    ),
    "cut_off": Entry(
        "What the end of the trial cuts off: the voltage of an output neuron with the study's time constants whose "
        "input goes on to the end (computed), and of the kept test samples the output that has most left at the end.",
        (_EXAMPLES,),
    ),
    "early_spikes": Entry(
        "Spikes of the hidden neurons, all that the outputs hear, over the first fifth of a trial from the first such "
        "spike on, and how many fall into each two-hundredth of the trial: one test sample, first seed.",
        (_EXAMPLES,),
    ),
    "weightings": Entry(
        "The weights under which the output voltage is summed; the legend gives each mean over the trial (for losses "
        "that read the outputs otherwise, what they read).",
        ("params.yaml",),
    ),
    "inputs": Entry(
        "Input spikes of several words (columns) and speakers (rows) of the training set, one dot a spike.",
        ("data/spikes/train.npz",),
    ),
    "example": Entry(
        "One test sample through the trained networks of the first seed: input spikes (top), spikes of the hidden "
        "neurons (middle) and output voltages, which the end of the trial cuts off (bottom).",
        (_EXAMPLES,),
    ),
    "training_curves": Entry(
        "Validation accuracy by epoch, every run a line, its best epoch a dot.", ("results/compare/training.csv",)
    ),
    "mean_curves": Entry(
        "Mean validation accuracy over seeds with {intervals} (bands): losses as they are, and those whose mean weight "
        "equals the reference's.",
        ("results/compare/curves.csv",),
    ),
    "learned_weights": Entry(
        "What the learned weights became in the chosen epoch, every run a line, beside their start and the two fixed "
        "weights of the study, scaled to the same mean.",
        ("results/train",),
    ),
    "generalisation": Entry(
        "Training against validation accuracy, means over seeds: the gap is what does not carry over to what was held "
        "out.",
        ("results/compare/curves.csv",),
    ),
    "activity": Entry(
        "Hidden spikes per neuron and trial, and training loss, by epoch, every run a line; losses of unequal mean "
        "weight are not on one scale.",
        ("results/train",),
    ),
    "test_accuracy": Entry(
        "Test accuracy of every run (dots) with mean and {intervals} over seeds (diamonds), beside logistic regression "
        "and chance.",
        ("results/compare/runs.csv", "results/compare/losses.csv"),
    ),
    "time_steps": Entry(
        "The same weights and events at other time steps, with half a step of dead time after a spike, as every grid "
        "has it (dots), and with that of the trained step (circles): test accuracy, activity and the share of "
        "predictions that are those of the trained step, mean over seeds with {intervals} (bands).",
        ("results/compare/steps.csv",),
    ),
    "confusion": Entry(
        "Words spoken and words predicted with the loss {loss}, in percent of each spoken word, runs added.",
        ("results/evaluate/{loss}",),
    ),
    "speakers": Entry(
        "Test accuracy by speaker, mean (dots) and range (lines) over runs, the shaded ones never heard in training "
        "(those held out for validation chose the epoch).",
        ("results/evaluate",),
    ),
    "differences": Entry(
        "Paired differences from the reference with {intervals}; filled marks: the interval excludes zero.",
        ("results/compare/differences.csv",),
    ),
    "ablation": Entry(
        "Paired differences of each change from the reference with {intervals}, that which helps most first; filled "
        "marks: the interval over seeds excludes zero.",
        ("results/compare/differences.csv",),
    ),
    "profile": Entry(
        "Time and energy of a training epoch{of_samples}, by device and batch size, both axes logarithmic; bars: least "
        "and most of the trials.",
        ("results/profile",),
    ),
    "energy_by_time": Entry(
        "Energy against time of a training epoch, both axes logarithmic; numbers are batch sizes, bars least and most "
        "of the trials.",
        ("results/profile",),
    ),
    "graph": Entry(
        "The graph of the study: each box a stage with the number of its jobs, an arrow from each to those that need "
        "what it makes.",
        of_results=False,
    ),
    "stage_costs": Entry(
        "What the stages of this study took: time of all jobs added up, and the most memory of any.",
        ("benchmarks",),
        of_results=False,
    ),
    "tuning": Entry(
        "Validation accuracy of each trial in turn, with the best so far, and how much of the variance each parameter "
        "makes (fANOVA over the complete trials).",
        ("results/tune",),
    ),
    "tuning_slices": Entry(
        "Validation accuracy of every complete trial against the value of each parameter that was looked for.",
        ("results/tune",),
    ),
}

TABLES = {
    "claims": Entry(
        "Published claims and what the results of this run say about them.",
        ("results/compare/differences.csv", "results/compare/losses.csv", "results/profile"),
    ),
    "data_set": Entry(
        "Statistics of the two splits as the networks receive them; of the training split, samples are learned from or "
        "held out for validation (told for the first fold).",
        ("data/spikes/train.json", "data/spikes/test.json"),
    ),
    "time_to_accuracy": Entry(
        "First epoch that reaches a validation accuracy, with {intervals}; a run that never does counts as infinitely "
        "late in the median.",
        ("results/compare/time_to_accuracy.csv",),
    ),
    "learned_weights": Entry(
        "The learned weights in the chosen epoch of every run, at eleven moments x = t / T of the trial, after their "
        "start and the two fixed weights of the study, scaled to the same mean.",
        ("results/train",),
    ),
    "accuracies": Entry(
        "Accuracies in percent, mean over seeds with {intervals} in brackets, beside the published numbers on SHD.",
        ("results/compare/losses.csv",),
    ),
    "folds": Entry(
        "Validation accuracy of each fold, mean ± standard deviation over seeds, and its paired difference from the "
        "reference; last, mean ± standard deviation over the folds.",
        ("results/compare/folds.csv",),
    ),
    "runs": Entry("Every run of the study.", ("results/compare/runs.csv",)),
    "differences": Entry(
        "Paired differences from the reference with {intervals} and paired t-tests; detectable: the smallest true "
        "difference that this many seeds would have shown with a probability of 80 %.",
        ("results/compare/differences.csv",),
    ),
    "ablation": Entry(
        "What each entry changes, its validation accuracy, and paired differences from the reference, mean over seeds "
        "with {intervals}, and the same intervals over folds.",
        ("results/compare/differences.csv",),
    ),
    "profile": Entry(
        "Time, power, energy and memory of training, and what the batch size does to learning; what was not measured "
        "is empty or left out, and the reason says why.",
        ("results/profile",),
    ),
    "steps_of_study": Entry(
        "Time and memory of every stage as Snakemake measured them; jobs may have run side by side.",
        ("benchmarks",),
        of_results=False,
    ),
    "checksums": Entry(
        "Checksums of the spikes and of every trained model, each as the stage that read or tested it told.",
        ("data/spikes/test.json", "results/evaluate"),
        of_results=False,
    ),
    "tuned": Entry(
        "What was tuned, within which budget, and what the best trial has; accuracies are those of validation.",
        ("results/tune",),
    ),
    "machines": Entry(
        "Machine, versions and commit of this report, of the trainings and of the measurements.",
        ("results/train", "results/profile"),
        of_results=False,
    ),
    "parameters": Entry("Every parameter of the study, defaults included.", ("params.yaml",), of_results=False),
}


def caption(results: Results, entry: Entry, loss: str | None = None) -> str:
    """Return the caption of a figure or table of these results."""
    text = entry.text.format(
        intervals=f"{100 * results.params.compare.confidence:g} % intervals",
        loss=title(loss or ""),
        of_samples=_of_samples(results),
    )
    if "{intervals}" in entry.text and len(results.seeds) == 1:
        return f"{text[:-1]} (one seed: no interval)."
    return text


def _of_samples(results: Results) -> str:
    """Return the size of the measured epoch, where all measurements have one."""
    samples = sorted({row["samples"] for row in results.profile if row.get("epoch_time_s") is not None})
    return f" of {samples[0]} samples" if len(samples) == 1 else ""


def data(results: Results, entry: Entry, loss: str | None = None) -> list[str]:
    """Return the files that a figure or table of these results is made from, as the workflow names them."""
    losses = [loss] if loss else results.losses[:3]
    first = {"seed": results.seeds[0], "fold": results.folds[0]}
    found = [path.format(loss=name, **first) for path in entry.data for name in losses]
    return list(dict.fromkeys(found))


def in_general(entry: Entry) -> str:
    """Return a caption as it holds for any study."""
    return " ".join(entry.text.format(intervals="intervals", loss="shown", of_samples="").split())


_RST = {
    "figure": "``{{{{ name }}}}``: {{{{ captions.get(name) or captions.get(name.split('_')[0], '') }}}}",
    "table": "``{{{{ name }}}}``: {{{{ captions.get(name, '') }}}} LaTeX and Markdown lie beside it.",
}


def of_workflow() -> dict[str, str]:
    """Return the captions of `snakemake --report`: name of a file in workflow/report to its content."""
    found = {}
    for kind, entries in (("figure", FIGURES), ("table", TABLES)):
        texts = {name: in_general(entry) for name, entry in entries.items()}
        lines = ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(text, ensure_ascii=False)}" for name, text in texts.items()
        )
        head = "{# made by `python -m eventspeech.report.captions .`; edit captions.py #}\n"
        head += f"{{%- set captions = {{\n{lines}\n}} %}}\n"
        name = f'{{% set name = snakemake.wildcards.get("{kind}", "") %}}\n'
        found[f"{kind}.rst"] = head + name + _RST[kind].format() + "\n"
    return found


if __name__ == "__main__":
    for file, content in of_workflow().items():
        write_text(Path(sys.argv[1]) / "workflow" / "report" / file, content)
