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
from pathlib import Path

from eventspeech import files
from eventspeech.data import sources
from eventspeech.params import Params

logger = logging.getLogger("eventspeech")


def download(params: Params, raw: Path) -> None:
    """Fetch, synthesise or index the speech of ``params.download`` into the folder ``raw``.

    An existing folder is replaced only when the new one is complete, and only if this program made it or it is empty.

    Raises:
        UserError: the network cannot be reached, or the disk is full.
        DataError: what was fetched or named is damaged.
    """
    raw = Path(raw)
    kind = params.download.source
    with files.atomic_folder(raw, made_by=sources.DESCRIPTION) as out:
        made = sources.named(kind).make(params, out)
        files.write_json(out / sources.DESCRIPTION, {"kind": kind, **made.description})
    logger.info("download: %s, %s, in %s", kind, made.summary, raw)
