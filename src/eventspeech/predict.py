"""The verb `predict`: what a trained network says of recordings."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pydantic

from eventspeech.data.faults import few
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.inference import answers, recogniser, sounds
from eventspeech.inference.answers import Answer
from eventspeech.inference.recogniser import Recogniser
from eventspeech.params import Cochlea, Params, file
from eventspeech.params.refusals import sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("eventspeech")

FIGURES = (".png", ".svg", ".pdf")
MOST_FIGURES = 50
"""More of them were hardly asked for: each takes a second or two."""

Form = Literal["table", "json", "csv"]

_WRITTEN = {"table": answers.table, "json": answers.as_json, "csv": answers.as_csv}


def predict(
    model: Path, given: Sequence[Path], *, form: Form = "table", window_s: float | None = None,
    hop_s: float | None = None, words: Sequence[str] = (), figure: Path | None = None, study: Path | None = None,
) -> None:  # fmt: skip
    """Print what a network says of recordings; every one that can be read is answered, whatever the others are.

    Args:
        model: ``weights.npz`` made by `train`.
        given: files, folders, or ``-`` for standard input.
        form: in which the answers are printed.
        window_s, hop_s: see :mod:`eventspeech.inference.sounds`; in seconds.
        words: among which the answers are; all words of the network if there are none.
        figure: file to draw what happened into; of several recordings or windows one file each, numbered.
        study: parameter file whose cochlea a model of version 0.2 or before heard through.

    Raises:
        UserError: an option is impossible, or some recording had no answer; the others' were printed.
        DataError: the model or a path is not usable.
    """
    how = sounds.cut(window_s, hop_s)
    if figure is not None and figure.suffix.lower() not in FIGURES:
        raise UserError(f"--figure {figure} has none of the endings {', '.join(FIGURES)}; give it one.")
    by = recogniser.load_model(model, None if study is None else _cochlea(study))
    paths = sounds.listed(given)
    logger.info("%s", _introduction(by))
    found = answers.answer(
        sounds.pieces(paths, how, by.cochlea.seed), len(paths), by, words=words, keep=figure is not None
    )
    sys.stdout.write(_WRITTEN[form](by, found))
    if figure is not None:
        _draw(by, [one for one in found if one.probabilities is not None], figure)
    _refuse_unusable(found)


def _cochlea(study: Path) -> Cochlea:
    """Return the cochlea of a parameter file, whose other groups may be those of an older version."""
    try:
        return Cochlea.model_validate(file.read(study).get("cochlea", {}))
    except pydantic.ValidationError as error:
        problems = "; ".join(sentence(problem, Params, ("cochlea",)) for problem in error.errors())
        raise ParameterError(f"{study}: {problems}.") from error


def _introduction(by: Recogniser) -> str:
    job = f"{by.meta['loss']}, seed {by.meta['seed']}, epoch {by.meta['epoch']}"
    learned = "speech of an unknown source" if by.source is None else f"the source {by.source}"
    return (
        f"{by.path}: {len(by.words)} words, learned from {learned} ({job}); trained at steps of "
        f"{by.network.step_ms:g} ms, answers at steps of {by.engine.network.step_ms:g} ms; hears the first "
        f"{by.trial_ms:g} ms of each"
    )


def _draw(by: Recogniser, found: Sequence[Answer], path: Path) -> None:
    # here, since matplotlib takes longer to import than an answer
    from eventspeech.report.figures import prediction, style

    if len(found) > MOST_FIGURES:
        raise UserError(f"--figure would draw {len(found)} figures; give at most {MOST_FIGURES} recordings or windows.")
    for number, one in enumerate(found, 1):
        place = path if len(found) == 1 else path.with_stem(f"{path.stem}-{number}")
        drawn: Figure = prediction.prediction(by, one)
        style.write(drawn, place)
        logger.info("predict: %s shows %s", place, one.piece.name)


def _refuse_unusable(found: Sequence[Answer]) -> None:
    """Tell of files that cannot be read when all others are answered.

    Raises:
        DataError: there is one; says what is wrong with each of the first.
    """
    faults = [f"{one.piece.name} {one.piece.problem}" for one in found if not one.piece.readable]
    if len(faults) == 1:
        raise DataError(f"{faults[0]}; there is no answer.")
    if faults:
        raise DataError(f"{len(faults)} recordings have no answer: {few(faults)}.")
