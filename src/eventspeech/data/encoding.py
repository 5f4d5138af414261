"""From indexed recordings to the spike store."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eventspeech import files, machine
from eventspeech.data import audio, store
from eventspeech.data.recordings_index import INDEX, Entry, file_of, natural, read_index, splits
from eventspeech.errors import DataError
from eventspeech.params import Cochlea, Params
from eventspeech.seeds import derive_seed

if TYPE_CHECKING:
    from eventspeech.data import cochlea


def read(raw: Path, description: dict[str, Any], split: str, params: Params) -> store.SpikeStore:
    """Encode a split as :class:`eventspeech.data.sources.Source` promises it."""
    whole = encode_split(raw, split, params.cochlea, math.inf, machine.threads())
    if split == "train" and "validation" in splits(raw, description):
        # one file for all that may be looked at before the test: no stage depends on which protocol divides it
        validation = encode_split(raw, "validation", params.cochlea, math.inf, machine.threads())
        return store.with_validation(whole, validation)
    return whole


def encode_split(raw: Path, split: str, parameters: Cochlea, trial_ms: float, workers: int) -> store.SpikeStore:
    """Encode the recordings of a split.

    Args:
        raw: folder that holds the index.
        split: train, validation or test.
        parameters: of the cochlea model.
        trial_ms: T; later spikes are cut off.
        workers: threads; the result does not depend on their number.

    Returns:
        The spikes, in the order of the index; the names of classes and speakers are those of all splits.

    Raises:
        DataError: a file of the index is missing, changed or unusable, or the split is empty.
    """
    raw = Path(raw)
    everything = read_index(raw)
    class_names = list(dict.fromkeys(entry.label for entry in everything))
    speaker_names = sorted({entry.speaker for entry in everything}, key=natural)
    entries = [entry for entry in everything if entry.split == split]
    if not entries:
        raise DataError(
            f"{raw / INDEX} lists no recording of the {split} split; choose speakers or takes for it "
            "(download in the parameter file) and run `download` again."
        )
    # not before it is needed: numba takes a second, for which `download` and the report need not wait
    from eventspeech.data import cochlea

    samples = cochlea.encode_many(_recordings(raw, entries, parameters.seed), len(entries), parameters, workers)
    return store.from_samples(
        samples,
        np.array([class_names.index(entry.label) for entry in entries]),
        np.array([speaker_names.index(entry.speaker) for entry in entries]),
        class_names,
        speaker_names,
        trial_ms,
    )


def _recordings(raw: Path, entries: list[Entry], seed: int) -> "Iterator[cochlea.Recording]":
    from eventspeech.data import cochlea

    for entry in entries:
        file = file_of(raw, entry)
        if not file.is_file():
            raise DataError(f"The recording {file} does not exist any more; restore it or run `download` again.")
        if files.sha256(file) != entry.sha256:
            raise DataError(f"The recording {file} has changed since `download` indexed it; run `download` again.")
        sound = audio.read(file)
        # by its content, so that neither the place of the file nor the other recordings matter
        yield cochlea.Recording(sound.samples, sound.rate_hz, derive_seed(seed, "cochlea", entry.sha256))
