"""A folder of recordings as a source: labels and speakers from a manifest or from the file names."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from eventspeech.data import audio, encoding, recordings_index
from eventspeech.data.recordings_index import SPLITS, Entry, entry, natural, write_index
from eventspeech.data.sources import Made, Source, Words
from eventspeech.errors import DataError, ParameterError
from eventspeech.params import Params, Recordings
from eventspeech.progress import track


@dataclass(frozen=True)
class Found:
    """A file with what its name or the manifest says of it; ``take`` and ``split`` may be unknown."""

    file: Path
    label: str
    speaker: str
    take: str
    split: str | None


def index(parameters: Recordings, out: Path) -> None:
    """Write ``out/recordings.csv``; every file is opened and checked, nothing is copied.

    Raises:
        DataError: there are no files, or one is unusable, unnamed, listed twice or missing; names it and the remedy.
        ParameterError: the pattern or the choice of test speakers is not usable.
    """
    folder = _folder(parameters)
    found = _from_manifest(parameters, folder) if parameters.manifest else _from_names(parameters, folder)
    found.sort(key=lambda one: (natural(one.label), natural(one.speaker), natural(one.take), str(one.file)))
    splits = _splits(found, parameters)
    entries: list[Entry] = []
    takes: dict[tuple[str, str], int] = {}
    for one, split in track(zip(found, splits, strict=True), len(found), "checking", "recordings"):
        key = (one.label, one.speaker)
        takes[key] = takes.get(key, -1) + 1
        entries.append(entry(one.file, out, one.label, one.speaker, split, takes[key]))
    _refuse_copies(entries)
    _refuse_unusable_splits(entries)
    write_index(entries, out)


def _folder(parameters: Recordings) -> Path:
    if parameters.folder is None and parameters.manifest is None:
        raise ParameterError(
            "download.recordings.folder is not set; set it to the folder of the recordings, or "
            "download.recordings.manifest to a CSV that lists them."
        )
    folder = Path(parameters.folder) if parameters.folder is not None else Path(parameters.manifest).parent
    if not folder.is_dir():
        raise DataError(f"The folder of recordings {folder} does not exist; correct download.recordings.folder.")
    return folder


def _from_names(parameters: Recordings, folder: Path) -> list[Found]:
    try:
        pattern = re.compile(parameters.pattern)
    except re.error as error:
        raise ParameterError(
            f"download.recordings.pattern is not a regular expression ({error}); correct it."
        ) from error
    if not {"label", "speaker"} <= set(pattern.groupindex):
        raise ParameterError("download.recordings.pattern has no groups (?P<label>...) and (?P<speaker>...); add them.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in audio.SUFFIXES and path.is_file())
    if not paths:
        raise DataError(f"There is no wav or flac file in {folder}; correct download.recordings.folder.")
    matches = [(path, pattern.fullmatch(path.stem)) for path in paths]
    strangers = [path.name for path, match in matches if match is None]
    if strangers:
        raise DataError(
            f"The names of {len(strangers)} files in {folder} do not match download.recordings.pattern "
            f"({', '.join(strangers[:3])}{', ...' if len(strangers) > 3 else ''}); rename or remove them, change the "
            "pattern, or list the recordings in a manifest."
        )
    return [
        Found(path, match["label"], match["speaker"], match.groupdict().get("take") or path.stem, None)
        for path, match in matches
        if match is not None
    ]


def _from_manifest(parameters: Recordings, folder: Path) -> list[Found]:
    manifest = Path(parameters.manifest or "")
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except FileNotFoundError as error:
        raise DataError(f"The manifest {manifest} does not exist; correct download.recordings.manifest.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The manifest {manifest} is not a CSV file in UTF-8 ({error}); save it as one.") from error
    missing = [column for column in ("path", "label", "speaker") if column not in columns]
    if missing:
        raise DataError(
            f"The manifest {manifest} has no column {' and '.join(missing)}; add it (header line: path,label,speaker)."
        )
    if not rows:
        raise DataError(f"The manifest {manifest} lists no recording; add a line for each.")
    found, seen = [], {}
    for line, row in enumerate(rows, 2):
        found.append(_from_row(row, f"Line {line} of {manifest}", folder))
        file = found[-1].file.resolve()
        if file in seen:
            raise DataError(
                f"Lines {seen[file]} and {line} of {manifest} name the same file {row['path']}; remove one."
            )
        seen[file] = line
    return found


def _from_row(row: dict, where: str, folder: Path) -> Found:
    for column in ("path", "label", "speaker"):
        if not (row[column] or "").strip():
            raise DataError(f"{where} has an empty {column}; fill it in or remove the line.")
    file = folder / row["path"].strip()
    if not file.is_file():
        raise DataError(f"{where} names {file}, which does not exist; correct the path (it is relative to {folder}).")
    split = (row.get("split") or "").strip() or None
    if split is not None and split not in SPLITS:
        raise DataError(f"{where} has the split '{split}'; write train, validation or test.")
    take = (row.get("take") or "").strip() or row["path"].strip()
    return Found(file, row["label"].strip(), row["speaker"].strip(), take, split)


def _splits(found: list[Found], parameters: Recordings) -> list[str]:
    """Return the split of each recording: the manifest's, else by test speakers and first takes."""
    given = [one.split for one in found]
    if any(given):
        if not all(given):
            raise DataError("The manifest gives a split for some recordings only; give it for all or for none.")
        if parameters.test_speakers or parameters.test_takes:
            raise ParameterError(
                "The manifest has a column split and download.recordings sets test_speakers or test_takes too; "
                "remove one of the two."
            )
        return [str(split) for split in given]
    speakers = sorted({one.speaker for one in found}, key=natural)
    for name in parameters.test_speakers:
        if name not in speakers:
            raise ParameterError(
                f"download.recordings.test_speakers names '{name}', who is not a speaker of these recordings; "
                f"choose from {', '.join(speakers)}."
            )
    splits, takes = [], {}
    for one in found:
        key = (one.label, one.speaker)
        takes[key] = takes.get(key, 0) + 1
        tested = one.speaker in parameters.test_speakers or takes[key] <= parameters.test_takes
        splits.append("test" if tested else "train")
    return splits


def _refuse_copies(entries: list[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for one in entries:
        if one.sha256 in seen:
            raise DataError(f"{seen[one.sha256].path} and {one.path} are copies of one recording; remove one of them.")
        seen[one.sha256] = one


def _refuse_unusable_splits(entries: list[Entry]) -> None:
    labels = {split: {one.label for one in entries if one.split == split} for split in SPLITS}
    for split in ("train", "test"):
        if not labels[split]:
            raise DataError(
                f"No recording is left for the {split} split; change download.recordings.test_speakers or "
                "test_takes, or give a split in the manifest."
            )
    unseen = sorted(labels["test"] - labels["train"], key=natural)
    if unseen:
        raise DataError(
            f"The label '{unseen[0]}' occurs in the test split but not in the training split; add recordings of it by "
            "a training speaker, or remove it."
        )


def _make(params: Params, out: Path) -> Made:
    index(params.download.recordings, out)
    return Made({"parameters": params.download.recordings.model_dump(mode="json")}, recordings_index.summary(out))


SOURCE = Source(
    Words("a folder of recordings, through the cochlea model of SHD", "own recordings", "OWN RECORDINGS, not SHD"),
    _make, recordings_index.splits, encoding.read,
)  # fmt: skip
