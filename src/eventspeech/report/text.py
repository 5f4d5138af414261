"""The words of the report: its header, and the findings beside the figures they judge."""

import bisect
import html
import math
import os
import time
from collections.abc import Sequence

import numpy as np

from eventspeech import losses, machine
from eventspeech.records.metrics import KEPT
from eventspeech.report.claims import FAILS, HOLDS, Finding
from eventspeech.report.formats import inline
from eventspeech.report.published import SOURCES as SOURCES_OF_CLAIMS
from eventspeech.report.published import UNTESTED, Claim
from eventspeech.report.results import Results
from eventspeech.report.words import HELD_OUT, capital, percent, short, title, with_interval
from eventspeech.statistics import detectable_difference

LEARNED_WEIGHTS = """\
### The weight that was learned

Here the weight itself is learned: a smooth, never negative function of time that follows the gradient of the same loss
as the network's weights. Its mean over the trial stays what it was, so that what it becomes says when to listen."""

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


def header(results: Results) -> str:
    """Return title, data set, commit and machine."""
    facts = machine.facts()
    commit = facts["git_commit"][:10] if facts["git_commit"] else "unknown"
    if facts["git_modified"]:
        commit += " (with uncommitted changes)"
    names = ", ".join(inline(title(loss)) for loss in results.losses)
    seeds, folds = len(results.seeds), len(results.folds)
    jobs = f"{seeds} seed{'s' if seeds > 1 else ''}"
    if folds > 1:
        jobs += f", {folds} folds ({HELD_OUT[results.params.validation.protocol]})"
    lines = [
        f"# {inline(results.params.report.title)}",
        f"**Data:** {results.source.data}; {len(results.classes)} words, "
        f"{results.training_samples} training samples, {results.validation_samples} more held out for validation.  ",
        f"**Losses:** {names}; {jobs}.  ",
        f"**Made by:** eventspeech {facts['eventspeech']}, commit {commit}, "
        f"on {inline(facts['cpu'] or 'an unknown processor')} "
        f"({facts['cores']} cores{', ' + inline(facts['gpu']) if facts['gpu'] else ''}), {_today()}.",
    ]
    text = "\n".join([lines[0], "", *lines[1:]])
    if results.label:
        text += (
            f'\n\n<div class="warning"><b>{html.escape(results.label)}.</b> Accuracies here are not comparable with '
            f"published ones on SHD or SSC, and every figure says so.{_voices(results)}</div>"
        )
    accidents = int(results.compare_summary["accident_runs"])
    if accidents:
        text += (
            f'\n\n<div class="warning"><b>Runs with numerical accidents: {accidents}.</b> Their weights exploded, or '
            "their hidden neurons fell silent or fired in most steps; they stay in the means, and the table of runs "
            "names them.</div>"
        )
    collapsed = int(results.compare_summary["collapsed_runs"])
    if collapsed:
        text += (
            f'\n\n<div class="warning"><b>Collapsed runs: {collapsed}.</b> Their accuracy fell back to chance after '
            "they had learned; they stay in the means, and the table of runs names them.</div>"
        )
    return text


def _today() -> str:
    """Return the date (UTC), that of SOURCE_DATE_EPOCH where it is set (reproducible-builds.org)."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    now_s = int(given) if given.isdecimal() else time.time()
    return time.strftime("%-d %B %Y", time.gmtime(now_s))


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


def learned_weights(results: Results) -> str:
    """Return how much of each learned weight lies in each third of the trial, before and after."""
    told = []
    for loss in results.learned:
        before = [f"{100 * share:.0f}" for share in _thirds(losses.weight(results.params.shape[loss], _MOMENTS))]
        shares = zip(*(_thirds(w) for w in results.weights_learned(loss, _MOMENTS)), strict=True)
        after = [_range(of_runs) for of_runs in shares]
        told.append(
            f"{title(loss)}: at the start {before[0]}, {before[1]} and {before[2]} % of the weight lie in the first, "
            f"second and last third of the trial, in the chosen epoch {after[0]}, {after[1]} and {after[2]} %."
        )
    return " ".join(inline(capital(sentence)) for sentence in told)


_MOMENTS = (np.arange(3000) + 0.5) / 3000


def _thirds(w: np.ndarray) -> np.ndarray:
    """Return the shares of the thirds of the trial, [3]."""
    return w.reshape(3, -1).sum(axis=1) / w.sum()


def _range(shares: Sequence[float]) -> str:
    low, high = (f"{100 * end(shares):.0f}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def sources() -> str:
    """Return what the published numbers rest on, as a list."""
    listed = "\n".join(f"- *{name}*: {text}." for name, text in SOURCES_OF_CLAIMS.items())
    return f"{listed}\n\n{UNTESTED}"


SEEDS_AT_MOST = 1000
"""More than anyone trains: a difference that takes more is as good as none."""


def power(results: Results) -> str:
    """Return how large a true difference from the reference these seeds would have shown, and what a point takes."""
    reference, told = results.params.compare.reference, []
    for loss in results.compared:
        if loss == reference:
            continue
        row = results.difference(loss, "test")
        detectable, pairs = 100 * row["detectable"], int(row["pairs"])
        if math.isfinite(detectable):
            seeds = _seeds_for_a_point(detectable, pairs, results.params.compare.confidence)
            told.append(f"{title(loss)} {detectable:.1f} points (one point would take {seeds} seeds)")
    if len(results.compared) == 1:
        return "**What could be seen.** One loss is trained alike, so that there is no difference to see."
    if not told:
        return (
            "**What could be seen.** With these seeds no difference, however large, can be told from chance: it takes "
            "at least two that differ."
        )
    return (
        f"**What could be seen.** With these {len(results.seeds)} seeds a true difference in test accuracy from "
        f"{inline(title(reference))} would have been seen with a probability of 80 % from this size on: "
        f"{inline('; '.join(told))}. A smaller one would likely go unseen: *undecided* is no sign that there is none."
    )


def _seeds_for_a_point(detectable: float, pairs: int, confidence: float) -> str:
    """Return how many seeds of the same spread show a difference of one point, from what ``pairs`` show (points)."""
    spread = detectable / detectable_difference(1.0, pairs, confidence)
    enough = bisect.bisect_left(
        range(2, SEEDS_AT_MOST + 1), -1.0, key=lambda seeds: -detectable_difference(spread, seeds, confidence)
    )
    return str(enough + 2) if enough + 2 <= SEEDS_AT_MOST else f"more than {SEEDS_AT_MOST}"


def _voices(results: Results) -> str:
    """Say how the voices held out were chosen, where they are synthetic: their difficulty is a setting, no finding."""
    if results.params.download.source != "synthetic":
        return ""
    return (
        " The voices of the validation and test speakers were set apart so that logistic regression understands most "
        "of their words: how hard they are is a setting of this data, not a finding."
    )
