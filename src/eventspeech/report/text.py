"""The words of the report: header, captions of one sentence, and the findings beside the figures they judge."""

import html

from eventspeech import machine
from eventspeech.records.metrics import KEPT
from eventspeech.report.claims import FAILS, HOLDS, Finding
from eventspeech.report.formats import inline
from eventspeech.report.published import SOURCES as SOURCES_OF_CLAIMS
from eventspeech.report.published import Claim
from eventspeech.report.results import Results
from eventspeech.report.words import HELD_OUT, capital, percent, short, title, with_interval

CAPTIONS = {
    "weightings": "The weights under which the output voltage is summed; the legend gives each mean over the trial "
    "(for losses that read the outputs otherwise, what they read).",
    "inputs": "Input spikes of several words (columns) and speakers (rows) of the training set, one dot a spike.",
    "example": "One test sample through the trained networks of the first seed: input spikes (top), spikes of the "
    "hidden neurons (middle) and output voltages, which the end of the trial cuts off (bottom).",
    "data_set": "Statistics of the two splits as the networks receive them; of the training split, samples are learned "
    "from or held out for validation (told for the first fold).",
    "training_curves": "Validation accuracy by epoch, every run a line, its best epoch a dot.",
    "mean_curves": "Mean validation accuracy over seeds with {confidence} % intervals (bands): losses as they are, "
    "and those whose mean weight equals the reference's.",
    "time_to_accuracy": "First epoch that reaches a validation accuracy, with {confidence} % intervals; a run that "
    "never does counts as infinitely late in the median.",
    "generalisation": "Training against validation accuracy, means over seeds: the gap is what does not carry over to "
    "what was held out.",
    "activity": "Hidden spikes per neuron and trial (left) and training loss (right) by epoch, every run a line; "
    "losses of unequal mean weight are not on one scale.",
    "test_accuracy": "Test accuracy of every run (dots) with mean and {confidence} % interval over seeds (diamonds), "
    "beside logistic regression and chance.",
    "time_steps": "The same weights and events at other time steps, with half a step of dead time after a spike, as "
    "every grid has it (dots), and with that of the trained step (circles): test accuracy, activity and the share of "
    "predictions that are those of the trained step, mean over seeds with {confidence} % intervals (bands).",
    "folds": "Validation accuracy of each fold, mean ± standard deviation over seeds, and its paired difference from "
    "the reference; last, mean ± standard deviation over the folds.",
    "accuracies": "Accuracies in percent, mean over seeds with {confidence} % intervals in brackets, beside the "
    "published numbers on SHD.",
    "speakers": "Test accuracy by speaker, mean (dots) and range (lines) over runs, the shaded ones "
    "never heard in training (those held out for validation chose the epoch).",
    "runs": "Every run of the study.",
    "differences": "Paired differences from the reference with {confidence} % intervals; filled marks: the interval "
    "excludes zero.",
    "differences_table": "Paired differences from the reference with {confidence} % intervals and paired t-tests; "
    "detectable: the smallest true difference that this many seeds would have shown with a probability of 80 %.",
    "ablation": "Paired differences of each change from the reference with {confidence} % intervals, that which helps "
    "most first; filled marks: the interval over seeds excludes zero.",
    "ablation_table": "What each entry changes, its validation accuracy, and paired differences from the reference, "
    "mean over seeds with {confidence} % intervals, and the same intervals over folds.",
    "profile_table": "Time, power, energy and memory of training, and what the batch size does to learning; what was "
    "not measured is empty or left out, and the reason says why.",
    "energy_by_time": "Energy against time of a training epoch, both axes logarithmic; numbers are batch sizes, bars "
    "least and most of the trials.",
    "machines": "Machine, versions and commit of this report, of the trainings and of the measurements.",
    "parameters": "Every parameter of the study, defaults included.",
}


ABLATION = """\
## Which pieces help: the ablation

Each entry is trained like the reference but for one change, with the same seeds and folds, so that they are compared in
pairs. A change that *harms* by taking a piece away shows that the piece helps. The verdict is that of the interval over
seeds, on these speakers; the interval over folds says what to expect of others. Intervals are those of each comparison
alone: among many, one in twenty strays by chance. Above, the mean curves draw each entry beside the reference;
activity, single speakers and confused words are the reference's alone."""

TIME_STEPS = """\
### The time step

Networks are trained on a grid of time steps. Here the test is run on other grids, too, with the same weights and
the same events: what changes is what the networks owe to their grid. A neuron that crosses the threshold somewhere in
a step integrates again at its end: every grid has half a step of dead time, which shrinks with the step unless a
refractory period makes up for it. Both are shown."""


SAME_ACCURACY, SAME_PREDICTIONS = 0.02, 0.95
"""A network that computes the same at another time step differs by so much in accuracy at most, and predicts so often
the same at least."""


def interval_caption(results: Results, name: str) -> str:
    """Return a caption that names the confidence of its intervals, or the lack of them with one seed."""
    caption = CAPTIONS[name].format(confidence=f"{100 * results.params.compare.confidence:g}")
    if len(results.seeds) > 1:
        return caption
    return f"{caption[:-1]} (one seed: no interval)."


def confusion_caption(loss: str) -> str:
    """Return the caption of a loss's confusion matrix."""
    return f"Words spoken and words predicted with the loss {title(loss)}, in percent of each spoken word, runs added."


def profile_caption(results: Results) -> str:
    """Return the caption of the time and energy figure, with the size of the measured epoch."""
    samples = sorted({row["samples"] for row in results.profile if row.get("epoch_time_s") is not None})
    size = f" of {samples[0]} samples" if len(samples) == 1 else ""
    return (
        f"Time (left) and energy (right) of a training epoch{size}, by device and batch size, both axes logarithmic; "
        "bars: least and most of the trials."
    )


def header(results: Results) -> str:
    """Return title, data set, commit and machine."""
    facts = machine.facts()
    commit = facts["git_commit"][:10] if facts["git_commit"] else "unknown"
    if facts["git_modified"]:
        commit += " (with uncommitted changes)"
    losses = ", ".join(inline(title(loss)) for loss in results.losses)
    seeds, folds = len(results.seeds), len(results.folds)
    jobs = f"{seeds} seed{'s' if seeds > 1 else ''}"
    if folds > 1:
        jobs += f", {folds} folds ({HELD_OUT[results.params.validation.protocol]})"
    lines = [
        f"# {inline(results.params.report.title)}",
        f"**Data:** {results.source.data}; {len(results.classes)} words, "
        f"{results.training_samples} training samples, {results.validation_samples} more held out for validation.  ",
        f"**Losses:** {losses}; {jobs}.  ",
        f"**Made by:** eventspeech {facts['eventspeech']}, commit {commit}, "
        f"on {inline(facts['cpu'] or 'an unknown processor')} "
        f"({facts['cores']} cores{', ' + inline(facts['gpu']) if facts['gpu'] else ''}).",
    ]
    text = "\n".join([lines[0], "", *lines[1:]])
    if results.label:
        text += (
            f'\n\n<div class="warning"><b>{html.escape(results.label)}.</b> Accuracies here are not comparable with '
            f"published ones on SHD or SSC, and every figure says so.{_voices(results)}</div>"
        )
    collapsed = int(results.compare_summary["collapsed_runs"])
    if collapsed:
        text += (
            f'\n\n<div class="warning"><b>Collapsed runs: {collapsed}.</b> Their accuracy fell back to chance after '
            "they had learned; they stay in the means, and the table of runs names them.</div>"
        )
    return text


def findings(found: list[Finding], *chosen: Claim) -> str:
    """Return the findings about some claims as paragraphs: each claim, and whether its parts hold here and why."""
    kinds = {HOLDS: "holds", FAILS: "fails"}
    texts = []
    for claim in chosen:
        of_claim = [finding for finding in found if finding.claim == claim]
        texts.append(f'<div class="claim">Published ({claim.source}): {html.escape(claim.text)}</div>')
        for finding in of_claim:
            where = ", ".join(filter(None, [finding.loss and title(finding.loss), finding.data]))
            part = html.escape(capital(finding.part.text))
            status = finding.status.removesuffix(" here")
            texts.append(
                f'<div class="{kinds.get(finding.status, "open")}"><b>{part}: {status}</b> ({html.escape(where)}). '
                f"{html.escape(capital(finding.sentence))} "
                f'<span class="rule">Holds if {html.escape(finding.rule)}.</span></div>'
            )
    return "\n\n".join(texts)


def baseline(sentences: list[str]) -> str:
    """Return the comparison with logistic regression as a paragraph."""
    return "Against logistic regression on binned spike counts: " + " ".join(
        inline(capital(sentence)) for sentence in sentences
    )


def time_steps(results: Results) -> str:
    """Return what each loss's networks do at the finest step of the test (or the coarsest, if none is finer)."""
    told = [
        f"{title(loss)} {_at_another_step(results, loss, 'of_step')}; with the dead time of the trained step it "
        f"{_at_another_step(results, loss, KEPT)}."
        for loss in results.compared
    ]
    rule = (
        f"(The same: an accuracy within {100 * SAME_ACCURACY:g} points, and {100 * SAME_PREDICTIONS:g} % of the "
        "predictions.)"
    )
    return " ".join(["With the same weights and events:", *(inline(capital(sentence)) for sentence in told), rule])


def _at_another_step(results: Results, loss: str, dead_time: str) -> str:
    rows = results.at_steps(loss, dead_time)
    trained = rows[rows["trained"] == 1].iloc[0]
    other = rows.iloc[0] if rows.iloc[0]["step_ms"] < trained["step_ms"] else rows.iloc[-1]
    apart, agreement = abs(other["accuracy_mean"] - trained["accuracy_mean"]), other["agreement_mean"]
    same = apart <= SAME_ACCURACY and agreement >= SAME_PREDICTIONS
    home = f"{trained['step_ms']:g} ms"
    return (
        f"{'computes the same' if same else 'is another network'} at steps of {other['step_ms']:g} ms "
        f"({with_interval(other, 'accuracy')} % in place of {with_interval(trained, 'accuracy')} % at {home}, "
        f"{short(other['hidden_spikes_mean'])} in place of {short(trained['hidden_spikes_mean'])} spikes per neuron "
        f"and trial, {percent(agreement)} % of the predictions are those of {home})"
    )


def sources() -> str:
    """Return what the published numbers rest on, as a list."""
    return "\n".join(f"- *{name}*: {text}." for name, text in SOURCES_OF_CLAIMS.items())


def _voices(results: Results) -> str:
    """Say how the voices held out were chosen, where they are synthetic: their difficulty is a setting, no finding."""
    if results.params.download.source != "synthetic":
        return ""
    return (
        " The voices of the validation and test speakers were set apart so that logistic regression understands most "
        "of their words: how hard they are is a setting of this data, not a finding."
    )
