"""A folder of recordings as a source: labels and speakers from a manifest or from the file names.

The folder is taken whole or refused: what cannot be taken is counted and named, and left out only where a parameter
says so.
"""

import collections
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from eventspeech import paths
from eventspeech.data import audio, encoding, folder_scan, naming, recordings_index
from eventspeech.data.faults import Faults, few, shown
from eventspeech.data.naming import Found
from eventspeech.data.recordings_index import SPLITS, Entry, natural, write_index
from eventspeech.data.sources import Made, Source, Words
from eventspeech.errors import DataError, ParameterError
from eventspeech.params import Params, Recordings
from eventspeech.progress import track

logger = logging.getLogger("eventspeech")

FEW = 4
"""So few recordings may each be of another word or speaker."""

CLIPPED = 0.01
"""Share of samples at full scale from which on a recording is told to be clipped."""


def index(parameters: Recordings, out: Path, params: Params | None = None) -> list[Entry]:
    """Write ``out/recordings.csv`` and return its content; every file is opened and checked, nothing is copied.

    Args:
        parameters: the group ``download.recordings``.
        out: folder for the index.
        params: where given, splits that the protocol of its group ``validation`` cannot use are refused, too.

    Raises:
        DataError: there are no files, or some are unusable, unnamed, there twice or missing; counts and names them.
        ParameterError: the choice of test speakers is not usable.
    """
    folder = _folder(parameters)
    found = _found(parameters, folder)
    splits = _splits(found, parameters)
    _refuse_unusable_splits(found, splits)  # before the files are read, and again with what is left
    if params is not None:
        _refuse_for_protocol(params, found, splits)
    described = _without_copies(_described(found, out, parameters, folder), parameters, folder)
    found = [one for one, _ in described]
    splits = _splits(found, parameters)
    _refuse_unusable_splits(found, splits)
    takes: dict[tuple[str, str], int] = collections.defaultdict(int)
    entries = []
    for (one, description), split in zip(described, splits, strict=True):
        key = (one.label, one.speaker)
        entries.append(dataclasses.replace(description, split=split, take=takes[key]))
        takes[key] += 1
    write_index(entries, out)
    return entries


def _folder(parameters: Recordings) -> Path:
    if parameters.folder is None and parameters.manifest is None:
        raise ParameterError(
            "download.recordings.folder is not set; set it to the folder of the recordings, or "
            "download.recordings.manifest to a CSV that lists them."
        )
    if parameters.folder is not None:
        folder = paths.given(parameters.folder)
    else:
        folder = paths.given(parameters.manifest or "").parent
    if not folder.is_dir():
        raise DataError(f"The folder of recordings {folder} does not exist; correct download.recordings.folder.")
    return folder


def _found(parameters: Recordings, folder: Path) -> list[Found]:
    """Return the recordings in the order of the index: by label, speaker and take, numbers in them by their size."""
    if parameters.manifest is not None:
        found = naming.from_manifest(parameters, folder)
        if parameters.folder is not None:
            _tell_unlisted(found, folder)
    else:
        found = naming.from_names(parameters, folder, audio.suffixes())
    _warn_of_names("labels", [one.label for one in found])
    _warn_of_names("speakers", [one.speaker for one in found])
    return sorted(found, key=lambda one: (natural(one.label), natural(one.speaker), natural(one.take), str(one.file)))


def _tell_unlisted(found: Sequence[Found], folder: Path) -> None:
    """Say how many recordings of the folder the manifest leaves out: that may be meant, or a list cut short."""
    listed = {one.file for one in found}
    others = [file for file in folder_scan.scan(folder, audio.suffixes()).recordings if file not in listed]
    if others:
        names = few([_name(file, folder) for file in others])
        logger.warning("download: %d recordings in %s are not in the manifest: %s", len(others), folder, names)


def _warn_of_names(what: str, names: Sequence[str]) -> None:
    if groups := naming.alike(sorted(set(names))):
        listed = few(["'" + "' and '".join(group) + "'" for group in groups])
        logger.warning(
            "download: %s that differ in capitals or space only are taken for different ones: %s", what, listed
        )
    if len(set(names)) == len(names) > FEW:
        logger.warning(
            "download: each of %d recordings has one of the %s for itself (%s); check the pattern or the manifest",
            len(names), what, few(names),
        )  # fmt: skip


def _splits(found: Sequence[Found], parameters: Recordings) -> list[str]:
    """Return the split of each recording: what it tells itself, else by test speakers and first takes."""
    given = [one.split for one in found]
    if any(given):
        without = sum(one is None for one in given)
        if without:
            raise DataError(
                f"{without} of {len(given)} recordings have no split, the others have; give it for all or for none."
            )
        if parameters.test_speakers or parameters.test_takes:
            raise ParameterError(
                "The recordings tell their split, and download.recordings sets test_speakers or test_takes too; "
                "remove one of the two."
            )
        return [str(split) for split in given]
    tested = [naming.normal(name) for name in parameters.test_speakers]
    speakers = sorted({one.speaker for one in found}, key=natural)
    for name in tested:
        if name not in speakers:
            raise ParameterError(
                f"download.recordings.test_speakers names '{name}', who is not a speaker of these recordings; "
                f"choose from {', '.join(speakers)}."
            )
    splits: list[str] = []
    takes: dict[tuple[str, str], int] = collections.defaultdict(int)
    for one in found:
        takes[one.label, one.speaker] += 1
        first = takes[one.label, one.speaker] <= parameters.test_takes
        splits.append("test" if one.speaker in tested or first else "train")
    return splits


def _described(found: Sequence[Found], out: Path, parameters: Recordings, folder: Path) -> list[tuple[Found, Entry]]:
    """Open every recording; return those that can be used, with what the index says of them but split and take."""
    faults, told, described, last = Faults(), Faults(), [], None
    for one in track(found, len(found), "checking", "recordings"):
        name = _name(one.file, folder)
        try:
            sound = audio.read(one.file)
            path = recordings_index.path_from(out, one.place)
            described.append((one, recordings_index.entry(one.file, path, sound, one.label, one.speaker, "", 0)))
        except audio.Unusable as error:
            faults.add(error.what, name)
            last = error
            continue
        if sound.channels > 1:
            told.add("with several channels (their mean is taken)", name)
        if sound.clipped > CLIPPED:
            told.add(f"clipped (more than {CLIPPED:.0%} of the samples at full scale)", name)
    if len(faults) == 1 and last is not None and parameters.unusable == "refuse":
        raise last
    faults.settle(parameters.unusable, str(folder), "download.recordings.unusable")
    if told:
        logger.warning("download: of %d recordings: %s", len(described), told)
    return described


def _without_copies(
    described: list[tuple[Found, Entry]], parameters: Recordings, folder: Path
) -> list[tuple[Found, Entry]]:
    """Refuse recordings that are there twice, or keep the first of each; byte by byte, or in two formats."""
    first: dict[str | Path, Path] = {}
    kept, copies = [], []
    for one, description in described:
        keys = (description.sha256, one.file.with_suffix(""))
        original = next((first[key] for key in keys if key in first), None)
        for key in keys:
            first.setdefault(key, one.file)
        if original is None:
            kept.append((one, description))
        else:
            copies.append(f"{_name(one.file, folder)} of {_name(original, folder)}")
    if not copies:
        return kept
    for copy in copies:
        logger.debug("download: a copy: %s", copy)
    count = f"{len(copies)} of {len(described)} recordings in {folder}"
    if parameters.copies == "refuse":
        raise DataError(
            f"{count} are copies of others ({few(copies)}), which would be learned and tested alike; remove them, or "
            "set download.recordings.copies to leave_out."
        )
    logger.warning("download: left out %s, copies of others: %s", count, few(copies))
    return kept


def _name(file: Path, folder: Path) -> str:
    return shown(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _refuse_unusable_splits(found: Sequence[Found], splits: Sequence[str]) -> None:
    labels: dict[str, set[str]] = {split: set() for split in SPLITS}
    for one, split in zip(found, splits, strict=True):
        labels[split].add(one.label)
    for split in ("train", "test"):
        if not labels[split]:
            raise DataError(
                f"No recording is left for the {split} split; change download.recordings.test_speakers or "
                "test_takes, or give a split in the manifest."
            )
    if len(labels["train"]) < 2:
        raise DataError(
            f"All recordings for training are of one word ('{next(iter(labels['train']))}'); add another word, or "
            "correct what tells the labels (download.recordings.pattern, or the manifest)."
        )
    for split in ("validation", "test"):
        unseen = sorted(labels[split] - labels["train"], key=natural)
        if unseen:
            raise DataError(
                f"The label '{unseen[0]}' occurs in the {split} split but not in the training split; add recordings of "
                "it by a training speaker, or remove it."
            )


def _refuse_for_protocol(params: Params, found: Sequence[Found], splits: Sequence[str]) -> None:
    """Refuse splits under which the protocol of `validation` cannot hold.

    The index does not depend on the protocol: one that is chosen later is refused where it is applied.
    """
    protocol = params.validation.protocol
    of_speaker: dict[str, set[str]] = collections.defaultdict(set)
    for one, split in zip(found, splits, strict=True):
        of_speaker[one.speaker].add(split)
    chosen = splits.count("validation")
    if protocol == "official" and not chosen:
        raise DataError(
            "validation.protocol is official, but no recording has the split validation; give it to some, or choose "
            "held_out, leave_one_out or random."
        )
    if protocol in ("held_out", "leave_one_out") and any(one.split for one in found):
        mixed = sorted((name for name, several in of_speaker.items() if len(several) > 1), key=natural)
        if mixed:
            listed = few([f"{name}: {', '.join(sorted(of_speaker[name], key=SPLITS.index))}" for name in mixed])
            raise DataError(
                f"validation.protocol {protocol} holds whole speakers out, but the recordings of "
                f"{len(mixed)} speaker{'s' if len(mixed) > 1 else ''} are given several splits ({listed}); give each "
                "speaker one split, or choose the protocol official or random."
            )
    if chosen and protocol != "official":
        logger.warning(
            "download: %d recordings of the split validation are used under the protocol official only, not under %s",
            chosen, protocol,
        )  # fmt: skip
    trained = [name for name, several in of_speaker.items() if "train" in several]
    _refuse_strangers(params, sorted(trained, key=natural))


def _refuse_strangers(params: Params, trained: Sequence[str]) -> None:
    protocol, listed = params.validation.protocol, ", ".join(trained)
    names = {"held_out": params.validation.speakers, "leave_one_out": params.study.folds}.get(protocol, [])
    where = "validation.speakers" if protocol == "held_out" else "study.folds"
    for name in names:
        if naming.normal(name) not in trained:
            raise DataError(
                f"{where} names '{name}', who is not a speaker of the training split; choose from {listed}."
            )


def _make(params: Params, out: Path) -> Made:
    index(params.download.recordings, out, params)
    return Made({"parameters": params.download.recordings.model_dump(mode="json")}, recordings_index.summary(out))


SOURCE = Source(
    Words("a folder of recordings, through the cochlea model of SHD", "own recordings", "OWN RECORDINGS, not SHD"),
    _make, recordings_index.splits, encoding.read, audio=True,
)  # fmt: skip
