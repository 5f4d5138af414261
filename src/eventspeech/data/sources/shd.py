"""The Spiking Heidelberg Digits and Spiking Speech Commands, from their authors' server, checksum verified.

Addresses, names of files and MD5 sums are those of tonic's catalogue (``tonic.datasets.SHD`` and ``SSC``), which a test
compares; tonic itself is no dependency, since one of its own has no wheels for Python 3.12 and newer. Data: Cramer,
Stradmann, Schemmel, Zenke 2020, CC BY 4.0.

An archive that lies in the folder of archives already (put there by hand, or by an earlier run) is used without asking
the network. No archive is opened before its checksum is right.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import shutil
import socket
import ssl
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventspeech import disk, files, paths
from eventspeech.data.sources import Made, Source, Words, hdf5
from eventspeech.errors import DataError, UserError
from eventspeech.params import Params
from eventspeech.progress import track

logger = logging.getLogger("eventspeech")

LICENCE = "CC BY 4.0 (Cramer, Stradmann, Schemmel, Zenke 2020)"
"""Of both data sets."""

TIMEOUT_S = 6.0
"""Longest silence of the server, also while connecting: offline, the refusal comes within seconds."""
CHUNK_BYTES = 1 << 20
MOST_BYTES = 16 << 30
"""Far more than any archive of the catalogue has."""
MOST_PACKED = 50
"""Times that a file may be larger than its archive; spikes do not pack well."""
NETWORK_ERRORS = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """One zip archive of the catalogue; it holds one HDF5 file, named like the archive without ``.zip``."""

    split: str
    name: str
    url: str
    md5: str


BASE_URL = "https://zenkelab.org/datasets/"
MD5 = {
    "shd": {
        "train": "f3252aeb598ac776c1b526422d90eecb",
        "test": "1503a5064faa34311c398fb0a1ed0a6f",
    },
    "ssc": {
        "train": "d102be95e7144fcc0553d1f45ba94170",
        "validation": "b4eee3516a4a90dd0c71a6ac23a8ae43",
        "test": "a35ff1e9cffdd02a20eb850c17c37748",
    },
}
"""Of each archive as its authors publish it, by source and split."""


def catalogue(source: str) -> list[Archive]:
    """Return the archives of ``shd`` or ``ssc``."""
    listed = []
    for split, md5 in MD5[source].items():
        name = f"{source}_{'valid' if split == 'validation' else split}.h5.zip"
        listed.append(Archive(split, name, BASE_URL + name, md5))
    return listed


def fetch(source: str, archives: Path, out: Path) -> dict[str, Any]:
    """Make sure that all archives are there and right, then extract each into ``out``.

    Args:
        source: ``shd`` or ``ssc``.
        archives: folder where archives are kept.
        out: existing folder for the HDF5 files.

    Returns:
        ``files`` (split to name in ``out``) and ``archives`` (name, address and MD5 of each), for ``source.json``.

    Raises:
        UserError: an archive is missing and the server cannot be reached; says where to put it by hand.
        DataError: an archive is not the one of the catalogue.
    """
    listed = catalogue(source)
    for archive in listed:
        path = archives / archive.name
        if not path.exists():
            missing = [other for other in listed if not (archives / other.name).exists()]
            _download(archive, archives, missing)
        _verify(path, archive)
    names = {}
    for archive in listed:
        names[archive.split] = archive.name.removesuffix(".zip")
        _extract(archives / archive.name, out / names[archive.split])
    return {
        "files": names,
        "archives": [{"name": archive.name, "url": archive.url, "md5": archive.md5} for archive in listed],
    }


def md5(path: Path) -> str:
    """Return the MD5 sum of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        # not for security: it is the checksum that the authors publish
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _verify(path: Path, archive: Archive) -> None:
    found = md5(path)
    if found != archive.md5:
        raise DataError(
            f"{path} has the MD5 sum {found} but must have {archive.md5} (incomplete or another file); delete it, "
            f"and run the command again or fetch {archive.url} by hand."
        )


def _download(archive: Archive, archives: Path, missing: Sequence[Archive]) -> None:
    """Download to a ``.part`` file beside the final place, going on where an earlier run stopped.

    Of several processes one downloads, and the others wait for it.
    """
    path = archives / archive.name
    with files.full_disk(path), files.refused_access(path):
        archives.mkdir(parents=True, exist_ok=True)
        with _alone(path) as part:
            if path.exists():  # another process has fetched it meanwhile
                return
            if not (part.exists() and md5(part) == archive.md5):
                try:
                    with _request(archive.url, part) as response:
                        _receive(response, part, archive.name)
                except NETWORK_ERRORS as error:
                    raise UserError(_by_hand(archive, archives, missing, error)) from error
            found = md5(part)
            if found != archive.md5:
                rejected = path.with_name(path.name + ".rejected")
                part.replace(rejected)
                raise DataError(
                    f"What came from {archive.url} has the MD5 sum {found} but must have {archive.md5}; it is kept as "
                    f"{rejected}: run the command again, and if that fails too, fetch the archive from elsewhere by "
                    "hand."
                )
            part.replace(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """Yield the ``.part`` file of ``path`` while no other process writes to it."""
    with disk.alone(path.with_name(f".{path.name}.lock"), f"another process fetches {path.name}") as locked:
        # on a disk without locks each process writes a file of its own
        yield path.with_name(path.name + ".part" if locked else f"{path.name}.{os.getpid()}.part")


def _request(url: str, part: Path) -> http.client.HTTPResponse:
    have = part.stat().st_size if part.exists() else 0
    if have:
        try:
            request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
            return urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
    return urllib.request.urlopen(url, timeout=TIMEOUT_S)


def _receive(response: http.client.HTTPResponse, part: Path, name: str) -> None:
    resumed = response.status == http.client.PARTIAL_CONTENT
    start = part.stat().st_size if resumed else 0
    if resumed and not response.headers.get("Content-Range", f"bytes {start}-").startswith(f"bytes {start}-"):
        raise http.client.HTTPException("the server sent another part than it was asked for")
    length = response.headers.get("Content-Length", "")
    expected = start + int(length) if length.isdecimal() else None
    if expected is not None and expected > MOST_BYTES:
        raise http.client.HTTPException(f"the server announces {expected / 1e9:.0f} GB, more than any archive here")
    with part.open("ab" if resumed else "wb") as stream:
        for chunk in _chunks(response, name, start, expected):
            stream.write(chunk)
            if stream.tell() > MOST_BYTES:
                raise http.client.HTTPException("the server sends more bytes than any archive here has")
        received = stream.tell()
    disk.flush(part)
    if expected is not None and received < expected:
        raise ConnectionError(f"the connection broke off after {received} of {expected} bytes")


def _chunks(response: http.client.HTTPResponse, name: str, start: int, expected: int | None) -> Iterator[bytes]:
    def read() -> bytes:
        try:
            return response.read(CHUNK_BYTES)
        except OSError as error:  # no route, say; one that the disk raises is another matter
            raise ConnectionError(error.strerror or str(error)) from error

    chunks = iter(read, b"")
    if expected is None:
        logger.info("downloading %s (the server does not say how long it is)", name)
        return chunks
    logger.info("downloading %s, %.0f MB", name, (expected - start) / 1e6)
    return track(chunks, -(-(expected - start) // CHUNK_BYTES), f"downloading {name}", "MiB")


def _by_hand(archive: Archive, archives: Path, missing: Sequence[Archive], error: Exception) -> str:
    reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    wanted = " and ".join(f"{other.name} (MD5 {other.md5})" for other in missing)
    folder = archive.url.removesuffix(archive.name)
    return (
        f"{archive.url} cannot be fetched ({reason}); connect to the internet and run the command again (it goes on "
        f"where it stopped), or fetch {wanted} from {folder} by any other means and put "
        f"{'it' if len(missing) == 1 else 'them'} into {archives}."
    )


def _extract(archive: Path, path: Path) -> None:
    """Write the one HDF5 file of an archive to ``path``; names inside the archive never become paths."""
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if Path(member.filename).name == path.name]
            if len(members) != 1:
                raise DataError(f"{archive} does not hold {path.name}; delete it and run the command again.")
            size = members[0].file_size
            if size > MOST_PACKED * archive.stat().st_size:
                raise DataError(f"{archive} would unpack to {size / 1e6:.0f} MB; see where it comes from.")
            logger.info("extracting %s, %.0f MB", path.name, size / 1e6)
            with (
                files.atomic_path(path) as temporary,
                content.open(members[0]) as packed,
                temporary.open("wb") as stream,
            ):
                shutil.copyfileobj(packed, stream, CHUNK_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} is not a usable zip ({error}); delete it and run the command again.") from error


def make(params: Params, out: Path) -> Made:
    """Fetch the archives of ``params.download.source``, extract them into ``out`` and list the files."""
    fetched = fetch(params.download.source, paths.given(params.download.archives), out)
    made = hdf5.listed({split: Path(name) for split, name in fetched["files"].items()}, out)
    made.description.update(archives=fetched["archives"])
    return made


SOURCE = Source(
    Words("the Spiking Heidelberg Digits (SHD)", "SHD", licence=LICENCE), make, hdf5.splits, hdf5.read_listed
)
