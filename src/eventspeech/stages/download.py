"""The verb `download`: make the raw folder of a source, whole or not at all.

Beside what the source writes, the folder holds ``source.json``:

- ``kind``: which source; ``parameters``: the parameters of that source alone;
- ``files``: split to HDF5 file and its SHA-256 (``shd``, ``ssc``, ``hdf5``); relative names are relative to the folder,
  except those of ``hdf5``, which stay as given in the parameter file: nothing is copied, `preprocess` checks the sum;
- ``archives``: name, address and MD5 of what was fetched (``shd``, ``ssc``);
- ``versions``: of the programs that determine the content.

It holds no date, so that the same source gives the same bytes and nothing downstream reruns.
"""

import collections
import csv
import logging
import platform
from pathlib import Path
from typing import Any

from eventspeech import files, machine
from eventspeech.params import Params

logger = logging.getLogger("eventspeech")

SOURCE = "source.json"
RECORDINGS = "recordings.csv"


def download(params: Params, raw: Path) -> None:
    """Fetch, synthesise or index the speech of ``params.download`` into the folder ``raw``.

    An existing folder is replaced only when the new one is complete.

    Raises:
        UserError: the network cannot be reached, or the disk is full.
        DataError: what was fetched or named is damaged.
    """
    raw = Path(raw)
    kind = params.download.source
    makers = {"synthetic": _synthetic, "recordings": _recordings, "hdf5": _hdf5, "shd": _archives, "ssc": _archives}
    with files.atomic_folder(raw) as out:
        source, summary = makers[kind](params, out)
        files.write_json(out / SOURCE, {"kind": kind, **source})
    logger.info("download: %s, %s, in %s", kind, summary, raw)


def _synthetic(params: Params, out: Path) -> tuple[dict[str, Any], str]:
    from eventspeech.data.sources import synthetic

    synthetic.make(params.download.synthetic, out)
    source = {
        "parameters": params.download.synthetic.model_dump(mode="json"),
        "versions": {
            "espeakng-loader": machine.version("espeakng-loader"),
            "numpy": machine.version("numpy"),
            "platform": f"{platform.system()} {platform.machine()}",
        },
    }
    return source, _summary(out / RECORDINGS)


def _recordings(params: Params, out: Path) -> tuple[dict[str, Any], str]:
    from eventspeech.data.sources import recordings

    recordings.index(params.download.recordings, out)
    return {"parameters": params.download.recordings.model_dump(mode="json")}, _summary(out / RECORDINGS)


def _hdf5(params: Params, out: Path) -> tuple[dict[str, Any], str]:
    from eventspeech.data.sources import hdf5

    given = {split: getattr(params.download, f"hdf5_{split}") for split in ("train", "validation", "test")}
    given = {split: path for split, path in given.items() if path is not None}
    paths = {split: Path(path) for split, path in given.items()}
    summary = hdf5.describe(paths)
    source = {
        "parameters": {f"hdf5_{split}": path for split, path in given.items()},
        "files": {split: {"path": str(path), "sha256": files.sha256(path)} for split, path in paths.items()},
    }
    return source, summary


def _archives(params: Params, out: Path) -> tuple[dict[str, Any], str]:
    from eventspeech.data.sources import hdf5, shd

    kind = params.download.source
    fetched = shd.fetch(kind, Path(params.download.archives), out)
    names = fetched["files"]
    source = {
        "parameters": {},
        "files": {split: {"path": name, "sha256": files.sha256(out / name)} for split, name in names.items()},
        "archives": fetched["archives"],
        "versions": {"tonic": machine.version("tonic")},
    }
    return source, hdf5.describe({split: out / name for split, name in names.items()})


def _summary(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    splits = collections.Counter(row["split"] for row in rows)
    recordings = " + ".join(f"{count} {split}" for split, count in splits.items())
    labels, speakers = ({row[column] for row in rows} for column in ("label", "speaker"))
    return f"{recordings} recordings, {len(labels)} words, {len(speakers)} speakers"
