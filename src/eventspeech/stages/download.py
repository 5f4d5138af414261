"""The verb `download`: make the raw folder of a source, whole or not at all.

Beside what the source writes, the folder holds ``source.json``:

- ``kind``: which source; ``parameters``: the parameters of that source alone;
- ``files``: split to HDF5 file and its SHA-256 (``shd``, ``ssc``, ``hdf5``); relative names are relative to the folder,
  except those of ``hdf5``, which stay as given in the parameter file: nothing is copied, `preprocess` checks the sum;
- ``archives``: name, address and MD5 of what was fetched (``shd``, ``ssc``);
- ``versions``: of the programs that determine the content.

It holds no date, so that the same source gives the same bytes and nothing downstream reruns.
"""

import logging
import os
from pathlib import Path

from eventspeech import files
from eventspeech.data import sources
from eventspeech.errors import UserError
from eventspeech.params import Download, Params

logger = logging.getLogger("eventspeech")


def download(params: Params, raw: Path) -> None:
    """Fetch, synthesise or index the speech of ``params.download`` into the folder ``raw``.

    An existing folder is replaced only when the new one is complete, and only if this program made it or it is empty.

    Raises:
        UserError: the network cannot be reached, the disk is full, or files of the user's would be replaced.
        DataError: what was fetched or named is damaged.
    """
    raw = Path(raw)
    kind = params.download.source
    _protect(params.download, raw)
    with files.atomic_folder(raw, made_by=sources.DESCRIPTION) as out:
        made = sources.named(kind).make(params, out)
        files.write_json(out / sources.DESCRIPTION, {"kind": kind, **made.description})
    logger.info("download: %s, %s, in %s", kind, made.summary, raw)


def _protect(given: Download, raw: Path) -> None:
    """Refuse to replace a folder of the user's, or what the source is made from."""
    if raw.is_dir() and not (raw / sources.DESCRIPTION).exists() and any(raw.iterdir()):
        raise UserError(
            f"{raw} holds files but no {sources.DESCRIPTION}, so this program did not make it; it would be replaced: "
            "choose another --raw, or move the folder."
        )
    place = Path(os.path.realpath(raw))
    for key, path in given.paths().items():
        if Path(os.path.realpath(path)).is_relative_to(place):
            raise UserError(f"{key} = {path} lies in {raw}, which is made anew; keep it elsewhere.")
    folder = given.recordings.folder
    searched = given.source == "recordings" and given.recordings.manifest is None
    if searched and folder is not None and place.is_relative_to(os.path.realpath(folder)):
        raise UserError(
            f"download.recordings.folder = {folder} holds {raw}, whose files are no recordings of yours; name the "
            "folder that holds the recordings alone."
        )
