"""What a split cannot be, or hardly is, if it holds speech: told before anything is trained on it.

A file may be right in form and wrong in its unit, its channels or its labels. Training then goes on at chance, or,
where the same samples are in both splits, tests what was learned. Limits are wide: what real corpora hold passes.
"""

from collections.abc import Sequence

import numpy as np

from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS

MOST_LOST = 0.9
"""Share of spikes beyond the trial above which what remains is no word."""
NOTED_LOST = 0.1
NOTED_EMPTY = 0.05
FEWEST_CHANNELS = CHANNELS // 2
SHORTEST_WORD_MS = 20.0
MOST_NAMES = 5
"""Names listed in a sentence."""

UNITS = (
    (1e2, 5e3, "milliseconds: divide them by 1000"),
    (5e3, 1e5, "samples of a recording: divide them by its sampling rate"),
    (1e5, 5e6, "microseconds: divide them by 1000000"),
    (1e8, 5e9, "nanoseconds: divide them by 1000000000"),
)
"""What a time that ends a word of 0.1 to 5 s is taken for: least and most value as read, and the unit."""

Sample = tuple[bytes, bytes]


def require_plausible(whole: SpikeStore, cropped: SpikeStore, split: str, in_seconds: bool = False) -> list[str]:
    """Refuse a split on which nothing can be learned; return what else is odd about it, a sentence each.

    Args:
        whole: the split as it came.
        cropped: the same, cropped to the trial.
        split: its name.
        in_seconds: whether times come from a file that someone made, who had to write them in seconds.

    Raises:
        DataError: no spike, hardly any in the trial, all in one channel, or a training split of one class.
    """
    events = len(whole.times_ms)
    if events == 0:
        raise DataError(f"None of the {len(whole)} samples of the {split} split has a spike; see what made them.")
    _require_in_trial(whole, cropped, split, in_seconds)
    used = np.unique(cropped.channels)
    if len(used) == 1 and len(cropped.channels) > 1:
        raise DataError(
            f"All {len(cropped.channels)} spikes of the {split} split are in channel {used[0]} of {CHANNELS}; see "
            "where the channels come from."
        )
    present = np.unique(whole.labels)
    if split == "train" and len(present) == 1:
        raise DataError(
            f"All {len(whole)} samples of the training split are of one class, '{whole.class_names[present[0]]}', so "
            "that there is nothing to tell apart; see where the labels come from."
        )
    return [
        *_about_times(whole, cropped, in_seconds),
        *_about_channels(cropped, used),
        *_about_names(whole, split, present),
        *_about_copies(whole),
    ]


def digests(store: SpikeStore) -> set[int]:
    """Return a number for each different sample that has spikes; equal in one process only."""
    return {hash(content) for content in map(_content, *_sampled(store)) if content[0]}


def shared(store: SpikeStore, other: set[int]) -> int:
    """Return how many samples are spike for spike among those with the numbers ``other``."""
    return sum(bool(content[0]) and hash(content) in other for content in map(_content, *_sampled(store)))


def percent(fraction: float) -> str:
    """Write a share as a person would: 100, 25, 0.12, under 0.01."""
    if 0 < fraction < 1e-4:
        return "under 0.01"
    return f"{100 * fraction:.3g}" if fraction < 0.9995 or fraction == 1 else "over 99.9"


def _require_in_trial(whole: SpikeStore, cropped: SpikeStore, split: str, in_seconds: bool) -> None:
    lost = 1 - len(cropped.times_ms) / len(whole.times_ms)
    if lost <= MOST_LOST:
        return
    end_ms = _median_end_ms(whole)
    remedy = "choose a longer preprocess.trial_ms, or cut the recordings into words"
    if in_seconds:
        unit = next((unit for least, most, unit in UNITS if least <= end_ms / 1000 < most), None)
        remedy = (
            f"spikes/times must be in seconds, these look like {unit}"
            if unit
            else f"are times in seconds? If so, {remedy}"
        )
    raise DataError(
        f"{percent(lost)} % of the {len(whole.times_ms)} spikes of the {split} split lie beyond {cropped.trial_ms:g} "
        f"ms and would be cut off (the median sample ends at {end_ms:.0f} ms); {remedy}."
    )


def _median_end_ms(store: SpikeStore) -> float:
    ends = store.offsets[1:][np.diff(store.offsets) > 0] - 1
    return float(np.median(store.times_ms[ends]))


def _about_times(whole: SpikeStore, cropped: SpikeStore, in_seconds: bool) -> list[str]:
    said = []
    events = len(whole.times_ms)
    lost = events - len(cropped.times_ms)
    if lost > NOTED_LOST * events:
        said.append(
            f"{percent(lost / events)} % of all spikes lie beyond {cropped.trial_ms:g} ms and are cut off: "
            "is preprocess.trial_ms meant to be that short?"
        )
    empty = int(np.sum(np.diff(cropped.offsets) == 0))
    if empty > NOTED_EMPTY * len(cropped):
        said.append(f"{empty} of {len(cropped)} samples have no spike within the trial.")
    end_ms = _median_end_ms(whole)
    if end_ms < SHORTEST_WORD_MS:
        unit = ": are spikes/times in seconds?" if in_seconds else "."
        said.append(f"The median sample ends at {end_ms:.3g} ms, which is short for a word{unit}")
    return said


def _about_channels(cropped: SpikeStore, used: np.ndarray) -> list[str]:
    if len(used) == 0:
        return []
    if used[-1] - used[0] + 1 < FEWEST_CHANNELS:
        return [
            f"All spikes are in channels {used[0]} to {used[-1]}, the other {CHANNELS - len(used)} of {CHANNELS} are "
            f"silent: do the channels of this source count to {CHANNELS}?"
        ]
    if len(used) < FEWEST_CHANNELS and len(cropped.channels) > 20 * CHANNELS:
        return [f"{CHANNELS - len(used)} of {CHANNELS} channels are silent."]
    return []


def _about_names(whole: SpikeStore, split: str, present: np.ndarray) -> list[str]:
    said = []
    missing = [name for index, name in enumerate(whole.class_names) if index not in set(present.tolist())]
    if missing:
        said.append(f"{len(missing)} of {len(whole.class_names)} classes have no sample: {_listed(missing)}.")
    speakers = np.unique(whole.speakers)
    if split == "train" and len(speakers) == 1:
        said.append(
            f"All {len(whole)} samples of the training split are of one speaker, '{whole.speaker_names[speakers[0]]}': "
            "no speaker can be held out to validate on."
        )
    return said


def _about_copies(whole: SpikeStore) -> list[str]:
    first: dict[int, int] = {}
    copies = contradictions = 0
    for label, content in zip(whole.labels.tolist(), map(_content, *_sampled(whole)), strict=True):
        number = hash(content)
        if content[0] and number in first:
            copies += 1
            contradictions += first[number] != label
        first.setdefault(number, label)
    if not copies:
        return []
    other = f", {contradictions} of them under another label" if contradictions else ""
    return [f"{copies} of {len(whole)} samples are spike for spike copies of another{other}."]


def _sampled(store: SpikeStore) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    return np.split(store.times_ms, store.offsets[1:-1]), np.split(store.channels, store.offsets[1:-1])


def _content(times_ms: np.ndarray, channels: np.ndarray) -> Sample:
    return times_ms.tobytes(), channels.tobytes()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
