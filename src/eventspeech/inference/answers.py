"""What a network says of recordings, and how that is written: a table, JSON or CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from eventspeech import __version__, machine
from eventspeech.data import cochlea
from eventspeech.data.store import SpikeStore
from eventspeech.errors import UserError
from eventspeech.inference import recogniser
from eventspeech.inference.recogniser import Recogniser
from eventspeech.inference.sounds import Piece

SHOWN = 3
"""Words that the table names, the likeliest first."""


class Answer(NamedTuple):
    """What the network says of a recording or window.

    Attributes:
        piece: what was heard.
        probabilities: of the words, float64[K]; ``None`` if there is no answer.
        spikes: how many the cochlea sent within the trial.
        missed: share of the cochlea's spikes that came after the trial.
        hidden_spikes: per hidden neuron.
        heard: spikes of this recording, a store of one sample; ``None`` unless they were to be kept.
    """

    piece: Piece
    probabilities: np.ndarray | None = None
    spikes: int = 0
    missed: float = 0.0
    hidden_spikes: float = 0.0
    heard: SpikeStore | None = None


def answer(
    found: Iterable[Piece], total: int, by: Recogniser, words: Sequence[str] = (), keep: bool = False
) -> list[Answer]:
    """Encode pieces in parallel, with progress, and ask the network about all of them.

    Args:
        found: consumed as they are needed.
        total: how many there are likely to be.
        by: the network.
        words: among which the answers are; all words of the network if there are none.
        keep: sounds and spikes, for figures.

    Raises:
        UserError: a word is none of the network's.
    """
    chosen = _places(by, words)
    seen: list[Piece] = []
    encoded = cochlea.encode_many(_remembered(found, seen, keep), total, by.cochlea, machine.threads())
    if not encoded:
        return [Answer(piece) for piece in seen]
    entire = recogniser.whole(by, encoded)
    heard = entire.crop(by.trial_ms)
    likely, hidden = recogniser.infer(by, heard)
    likely = _among(likely, chosen)
    counts, all_counts = np.diff(heard.offsets), np.diff(entire.offsets)
    place, answers = iter(range(len(encoded))), []
    for piece in seen:
        if piece.problem is not None:
            answers.append(Answer(piece))
            continue
        i = next(place)
        missed = 1 - counts[i] / max(1, all_counts[i])
        kept = heard.select(np.array([i])) if keep else None
        answers.append(Answer(piece, likely[i], int(counts[i]), float(missed), float(hidden[i]), kept))
    return answers


def _remembered(found: Iterable[Piece], seen: list[Piece], keep: bool) -> Iterator[cochlea.Recording]:
    """Yield what can be encoded; take down all pieces in their order, without their sounds unless these are kept."""
    for piece in found:
        seen.append(piece if keep else piece._replace(samples=np.empty(0), recording=None))
        if piece.recording is not None:
            yield piece.recording


def _places(by: Recogniser, words: Sequence[str]) -> list[int]:
    for word in words:
        if word not in by.words:
            raise UserError(f"{by.path} does not know the word '{word}'; it knows {', '.join(by.words)}.")
    return [by.words.index(word) for word in dict.fromkeys(words)] or list(range(len(by.words)))


def _among(likely: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Return the probabilities given that the word is one of the chosen; the others' are 0."""
    if len(chosen) == likely.shape[1]:
        return likely
    kept = np.zeros_like(likely)
    kept[:, chosen] = likely[:, chosen]
    total = kept.sum(axis=1, keepdims=True)
    # where all of them are 0 to double precision, nothing tells them apart
    kept[:, chosen] = np.where(total > 0, kept[:, chosen], 1.0)
    return kept / kept.sum(axis=1, keepdims=True)


def describe(by: Recogniser) -> dict[str, Any]:
    """Return what answers rest on: the network, and the time step at which it was trained and runs."""
    return {
        "file": str(by.path),
        "sha256": by.digest,
        "loss": by.meta["loss"],
        "seed": by.meta["seed"],
        "fold": by.meta["fold"],
        "epoch": by.meta["epoch"],
        "source": by.source,
        "words": by.words,
        "trial_ms": by.trial_ms,
        "trained_at_step_ms": by.network.step_ms,
        "step_ms": by.engine.network.step_ms,
        "engine": by.engine.name,
        "cochlea": by.cochlea.model_dump(mode="json"),
    }


def _words(by: Recogniser, found: Answer) -> list[tuple[str, float]]:
    """Return words and probabilities, the likeliest first; of equals the network's first."""
    if found.probabilities is None:
        return []
    order = np.argsort(-found.probabilities, kind="stable")
    return [(by.words[place], float(found.probabilities[place])) for place in order]


def table(by: Recogniser, answers: Sequence[Answer]) -> str:
    """Return a table for people: of each recording or window the likeliest words."""
    timed = any(found.piece.start_s > 0 for found in answers)
    rows = [["file", *(["from", "to"] if timed else []), "word", "probability", "then", ""]]
    for found in answers:
        piece, likely = found.piece, _words(by, found)
        times = [f"{piece.start_s:.2f} s", f"{piece.end_s:.2f} s"] if timed else []
        if piece.problem is not None:
            rows.append([piece.name, *times, "-", "", "", piece.problem])
            continue
        others = ", ".join(f"{word} {_percent(share)}" for word, share in likely[1:SHOWN] if share > 0)
        note = f"{_percent(found.missed)} of its spikes come after the trial" if found.missed >= 0.005 else ""
        rows.append([piece.name, *times, likely[0][0], _percent(likely[0][1]), others, note])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def as_json(by: Recogniser, answers: Sequence[Answer]) -> str:
    """Return all there is to say, as JSON; without an answer, ``word`` is null and ``problem`` says why."""
    listed = []
    for found in answers:
        piece, likely = found.piece, _words(by, found)
        listed.append({
            "file": piece.name,
            "start_s": round(piece.start_s, 6),
            "end_s": round(piece.end_s, 6),
            "word": likely[0][0] if likely else None,
            "probability": likely[0][1] if likely else None,
            "probabilities": dict(likely),
            "level_db": round(piece.level_db, 2) if piece.level_db > -1e9 else None,
            "input_spikes": found.spikes,
            "spikes_after_the_trial": found.missed,
            "hidden_spikes_per_neuron": found.hidden_spikes,
            "problem": piece.problem,
        })  # fmt: skip
    content = {"eventspeech": __version__, "model": describe(by), "answers": listed}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(by: Recogniser, answers: Sequence[Answer]) -> str:
    """Return one row a recording or window; a column a word has its probability."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    head = ["file", "start_s", "end_s", "word", "probability", "spikes_after_the_trial", "problem"]
    writer.writerow([*head, *(f"p({word})" for word in by.words)])
    for found in answers:
        piece, likely = found.piece, _words(by, found)
        first = [likely[0][0], likely[0][1], found.missed] if likely else ["", "", ""]
        shares = dict(likely)
        row = [piece.name, round(piece.start_s, 6), round(piece.end_s, 6), *first, piece.problem or ""]
        writer.writerow([*row, *(shares.get(word, "") for word in by.words)])
    return text.getvalue()
