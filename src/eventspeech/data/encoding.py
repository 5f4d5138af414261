"""From indexed recordings to the spike store."""

import hashlib
import itertools
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eventspeech import files, machine
from eventspeech.data import audio, store
from eventspeech.data.recordings_index import INDEX, Entry, file_of, natural, read_index, splits
from eventspeech.errors import DataError, UserError
from eventspeech.params import Cochlea, Params
from eventspeech.seeds import derive_seed

if TYPE_CHECKING:
    from eventspeech.data import cochlea

logger = logging.getLogger("eventspeech")

BLOCK = 64
"""Recordings that are kept together: a kill costs at most so many, a few seconds of each core."""

Sample = tuple[np.ndarray, np.ndarray]
"""Times (ms) and channels of the spikes of a recording."""


def read(raw: Path, description: dict[str, Any], split: str, params: Params, kept: Path) -> store.SpikeStore:
    """Encode a split as :class:`eventspeech.data.sources.Source` promises it."""
    whole = encode_split(raw, split, params.cochlea, math.inf, machine.threads(), kept)
    if split == "train" and "validation" in splits(raw, description):
        # one file for all that may be looked at before the test: no stage depends on which protocol divides it
        validation = encode_split(raw, "validation", params.cochlea, math.inf, machine.threads(), kept)
        return store.with_validation(whole, validation)
    return whole


def kernels() -> str:
    """Return the name of the code that encodes: other code for the same may give other spikes."""
    from eventspeech.data.cochlea import encoder

    return encoder.default_kernels()


def encode_split(
    raw: Path, split: str, parameters: Cochlea, trial_ms: float, workers: int, kept: Path | None = None
) -> store.SpikeStore:
    """Encode the recordings of a split.

    Args:
        raw: folder that holds the index.
        split: train, validation or test.
        parameters: of the cochlea model.
        trial_ms: T; later spikes are cut off.
        workers: threads; the result does not depend on their number.
        kept: folder for what is encoded, block by block, which is not encoded again if this is called once more.

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
    samples = _encode(raw, entries, parameters, workers, kept)
    return store.from_samples(
        samples,
        np.array([class_names.index(entry.label) for entry in entries]),
        np.array([speaker_names.index(entry.speaker) for entry in entries]),
        class_names,
        speaker_names,
        trial_ms,
    )


def _encode(raw: Path, entries: list[Entry], parameters: Cochlea, workers: int, kept: Path | None) -> list[Sample]:
    # not before it is needed: numba takes a second, for which `download` and the report need not wait
    from eventspeech.data import cochlea

    blocks = [entries[first : first + BLOCK] for first in range(0, len(entries), BLOCK)]
    places = [None if kept is None else kept / f"{_digest(block, parameters)}.npz" for block in blocks]
    found = [_load(place, len(block)) for place, block in zip(places, blocks, strict=True)]
    missing = [entry for block, samples in zip(blocks, found, strict=True) if samples is None for entry in block]
    if not missing:
        return [sample for samples in found for sample in samples or ()]
    if len(missing) < len(entries):
        logger.info("%d of %d recordings were encoded before", len(entries) - len(missing), len(entries))
    made = cochlea.encode_each(_recordings(raw, missing, parameters.seed), len(missing), parameters, workers)
    every = []
    for block, place, known in zip(blocks, places, found, strict=True):
        samples = list(itertools.islice(made, len(block))) if known is None else known
        if known is None and place is not None:
            _keep(place, samples)
        every += samples
    return every


def _digest(block: list[Entry], parameters: Cochlea) -> str:
    """Return a digest of all that decides the spikes of some recordings."""
    code = machine.code("data/audio.py", "data/cochlea", "data/encoding.py", "compiled.h")
    content = [machine.version("eventspeech"), code, kernels(), parameters.model_dump(mode="json")]
    text = json.dumps([content, [entry.sha256 for entry in block]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keep(path: Path, samples: list[Sample]) -> None:
    arrays = {
        "offsets": np.cumsum([0, *(len(times) for times, _ in samples)]),
        "times_ms": np.concatenate([times for times, _ in samples]),
        "channels": np.concatenate([channels for _, channels in samples]),
    }
    try:
        files.write_npz(path, arrays, compress=False)
    except (
        UserError,
        OSError,
    ) as error:  # it only saves time; another process may have finished and removed the folder
        logger.debug("%s is not kept: %s", path, error)


def _load(path: Path | None, count: int) -> list[Sample] | None:
    """Return the samples of a block, None if it was not kept whole."""
    if path is None or not path.exists():
        return None
    try:
        arrays = files.read_npz(path)
        offsets, times, channels = arrays["offsets"], arrays["times_ms"], arrays["channels"]
    except (DataError, KeyError):
        return None
    if len(offsets) != count + 1 or not len(times) == len(channels) == offsets[-1]:
        return None
    return [(times[a:b], channels[a:b]) for a, b in itertools.pairwise(offsets)]


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
