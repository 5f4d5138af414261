"""SHD and SSC: checksums, resumption and refusals, against a server on this machine."""

import errno
import fcntl
import hashlib
import http.server
import io
import logging
import math
import re
import socket
import threading
import time
import urllib.request
import zipfile

import numpy as np
import pytest

from eventspeech import files, params, paths
from eventspeech.data.sources import hdf5, shd
from eventspeech.data.store import from_samples
from eventspeech.errors import DataError, UserError
from eventspeech.stages.download import download

NAMES = {"train": "shd_train.h5.zip", "test": "shd_test.h5.zip"}


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` (name to bytes); breaks off after ``limit`` bytes; remembers what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.asked, self.limit = {}, [], None
        self.headers, self.pause_s = {}, 0.0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, wanted = self.path.rpartition("/")[2], self.headers.get("Range")
        self.server.asked.append((name, wanted))
        if name not in self.server.content:
            return self.send_error(404)
        content = self.server.content[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if wanted and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if wanted else 200)
        headers = {"Content-Length": str(len(content) - start)} | self.server.headers
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        time.sleep(self.server.pause_s)
        self.wfile.write(content[start:][: self.server.limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        folder = f"http://127.0.0.1:{server.server_port}/datasets/"
        patch_catalogue(monkeypatch, folder)
        server.content = CONTENT.copy()
        yield server
        server.shutdown()


def patch_catalogue(monkeypatch, folder):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listed = [
        shd.Archive(split, name, folder + name, hashlib.md5(CONTENT[name]).hexdigest()) for split, name in NAMES.items()
    ]
    monkeypatch.setattr(shd, "catalogue", lambda source: listed)


def _archive(tmp_path, split, speakers):
    rng = np.random.default_rng(len(split))
    samples = [(np.sort(rng.random(50)) * 1000, rng.integers(0, 700, 50)) for _ in range(4)]
    spikes = from_samples(samples, [0, 1, 0, 1], [0, 1, 0, 1], ["zero", "eins"], speakers, math.inf)
    hdf5.write(tmp_path / "x.h5", spikes)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"shd_{split}.h5", (tmp_path / "x.h5").read_bytes())
    return packed.getvalue()


CONTENT: dict[str, bytes] = {}


@pytest.fixture(autouse=True, scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    CONTENT[NAMES["train"]] = _archive(folder, "train", ["0", "1"])
    CONTENT[NAMES["test"]] = _archive(folder, "test", ["1", "5"])


@pytest.fixture
def archives(tmp_path):
    return tmp_path / "archives"


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "data" / "raw"


def parameters(archives):
    content = params.load(paths.PRESETS / "default.yaml").model_dump(mode="json")
    return params.validate(content | {"download": {"source": "shd", "archives": str(archives)}})


def test_success_then_no_second_download(server, archives, raw, caplog):
    with caplog.at_level(logging.INFO, "eventspeech"):
        download(parameters(archives), raw)
    assert sorted(path.name for path in raw.iterdir()) == ["shd_test.h5", "shd_train.h5", "source.json"]
    assert sorted(path.name for path in archives.iterdir()) == sorted(NAMES.values())
    assert "download: shd, 4 train + 4 test samples, 2 classes, 3 speakers" in caplog.messages[-1]
    source = files.read_json(raw / "source.json")
    assert source["kind"] == "shd"
    assert source["files"]["train"] == {"path": "shd_train.h5", "sha256": files.sha256(raw / "shd_train.h5")}
    assert source["archives"][0]["md5"] == hashlib.md5(CONTENT[NAMES["train"]]).hexdigest()

    first = (raw / "source.json").read_bytes()
    server.asked.clear()
    download(parameters(archives), raw)
    assert server.asked == []
    assert (raw / "source.json").read_bytes() == first


def test_archives_put_there_by_hand_need_no_network(monkeypatch, archives, raw):
    patch_catalogue(monkeypatch, "http://127.0.0.1:9/")
    archives.mkdir()
    for name in NAMES.values():
        (archives / name).write_bytes(CONTENT[name])
    download(parameters(archives), raw)
    assert (raw / "shd_test.h5").exists()


def test_wrong_archive_is_refused_before_it_is_opened(server, archives, raw, monkeypatch):
    archives.mkdir()
    (archives / NAMES["train"]).write_bytes(b"not this")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    wrong, right = (hashlib.md5(x).hexdigest() for x in (b"not this", CONTENT[NAMES["train"]]))
    with pytest.raises(DataError, match=f"has the MD5 sum {wrong} but must have {right}.*; delete it"):
        download(parameters(archives), raw)
    assert not raw.exists()


def test_wrong_download_is_kept_aside_and_the_old_folder_stays(server, archives, raw):
    download(parameters(archives), raw)
    (archives / NAMES["test"]).unlink()
    server.content[NAMES["test"]] = b"a login page"
    with pytest.raises(DataError, match=r"MD5 sum \w+ but must have \w+; it is kept as .*\.rejected: run"):
        download(parameters(archives), raw)
    assert (archives / "shd_test.h5.zip.rejected").read_bytes() == b"a login page"
    assert (raw / "shd_test.h5").exists()
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]

    server.content[NAMES["test"]] = CONTENT[NAMES["test"]]
    download(parameters(archives), raw)


def test_interrupted_download_goes_on_where_it_stopped(server, archives, raw):
    server.limit = 1000
    with pytest.raises(UserError, match=r"the connection broke off after 1000 of \d+ bytes.*goes on where it stopped"):
        download(parameters(archives), raw)
    part = archives / (NAMES["train"] + ".part")
    assert part.read_bytes() == CONTENT[NAMES["train"]][:1000]
    server.limit = None
    download(parameters(archives), raw)
    assert server.asked == [(NAMES["train"], None), (NAMES["train"], "bytes=1000-"), (NAMES["test"], None)]
    assert not part.exists()


def test_complete_part_of_a_killed_run_is_taken(server, archives, raw):
    archives.mkdir()
    (archives / (NAMES["train"] + ".part")).write_bytes(CONTENT[NAMES["train"]])
    (archives / (NAMES["test"] + ".part")).write_bytes(CONTENT[NAMES["test"]] + b"more than there is")
    download(parameters(archives), raw)
    assert server.asked[0][0] == server.asked[1][0] == NAMES["test"]  # asked for a range, then for all of it


def both(work):
    """Do the same in two threads, which take locks from each other as two processes do; return their errors."""
    errors = []

    def one():
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_of_two_at_once_one_downloads_and_the_other_waits(server, archives, caplog):
    server.pause_s = 0.3
    listed = shd.catalogue("shd")[0]
    with caplog.at_level(logging.INFO, "eventspeech"):
        assert both(lambda: shd._download(listed, archives, [listed])) == []
    assert "another process fetches shd_train.h5.zip; waiting for it" in caplog.messages
    assert len(server.asked) == 1
    assert [path.name for path in archives.iterdir()] == [NAMES["train"]]


def test_the_one_that_waits_tries_itself_when_the_other_fails(server, archives):
    server.pause_s, server.content[NAMES["train"]] = 0.3, b"a login page"
    listed = shd.catalogue("shd")[0]
    assert len(both(lambda: shd._download(listed, archives, [listed]))) == 2
    assert len(server.asked) == 2
    assert [path.name for path in archives.iterdir()] == [NAMES["train"] + ".rejected"]


def test_a_disk_without_locks(server, archives, raw, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    download(parameters(archives), raw)
    assert sorted(path.name for path in archives.iterdir()) == sorted(NAMES.values())


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"Content-Length": "99999999999999"}, "the server announces 100000 GB, more than any archive here"),
        ({"Content-Range": "bytes 7-9/10"}, "the server sent another part than it was asked for"),
    ],
)
def test_a_server_that_answers_something_else(server, archives, raw, headers, sentence):
    archives.mkdir()
    (archives / (NAMES["train"] + ".part")).write_bytes(CONTENT[NAMES["train"]][:100])
    server.headers = headers
    with pytest.raises(UserError, match=rf"cannot be fetched \({sentence}"):
        download(parameters(archives), raw)


def test_a_length_that_is_no_number_is_unknown(server, archives, raw):
    server.headers = {"Content-Length": "many"}
    download(parameters(archives), raw)
    assert (raw / "shd_train.h5").exists()


def test_a_server_that_never_ends(server, archives, raw, monkeypatch):
    monkeypatch.setattr(shd, "MOST_BYTES", 1000)
    server.headers = {"Content-Length": "many"}
    with pytest.raises(UserError, match="the server sends more bytes than any archive here has"):
        download(parameters(archives), raw)


def test_offline_within_seconds(monkeypatch, archives, raw):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        folder = f"http://127.0.0.1:{unused.getsockname()[1]}/datasets/"
        patch_catalogue(monkeypatch, folder)
        start = time.monotonic()
        with pytest.raises(UserError) as caught:
            download(parameters(archives), raw)
    assert time.monotonic() - start < 5
    sentence = str(caught.value)
    assert f"{folder}shd_train.h5.zip cannot be fetched" in sentence
    assert f"put them into {archives}" in sentence
    for name in NAMES.values():
        assert f"{name} (MD5 {hashlib.md5(CONTENT[name]).hexdigest()})" in sentence
    assert "\n" not in sentence
    assert not raw.parent.exists() or list(raw.parent.iterdir()) == []


def test_silent_server_within_seconds(monkeypatch, archives, raw):
    """A server that accepts and never answers, as some networks' gateways do."""
    monkeypatch.setattr(shd, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patch_catalogue(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(UserError, match=r"cannot be fetched \(timed out\)"):
            download(parameters(archives), raw)


def test_missing_on_the_server(server, archives, raw):
    del server.content[NAMES["test"]]
    with pytest.raises(UserError, match=r"shd_test\.h5\.zip cannot be fetched \(HTTP Error 404.* put it into"):
        download(parameters(archives), raw)


def test_full_disk(server, archives, raw, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shd, "_receive", full)
    with pytest.raises(UserError, match="No room left on the disk while writing"):
        download(parameters(archives), raw)


def test_archive_with_other_content(server, archives, raw, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../evil.h5", b"")
    whole = CONTENT[NAMES["train"]]
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shd_train.h5", bytes(1 << 20))
    encrypted = bytearray(whole)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[whole.index(signature) + place] |= 1
    cases = (
        (packed.getvalue(), "does not hold shd_train.h5"),
        (b"PK", "is not a usable zip"),
        (whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "is not a usable zip .Bad CRC-32"),
        (bytes(encrypted), "is not a usable zip .*encrypted"),
        (bomb.getvalue(), "would unpack to 1 MB; see where it comes from"),
    )
    for content, sentence in cases:
        monkeypatch.setitem(CONTENT, NAMES["train"], content)
        monkeypatch.setitem(server.content, NAMES["train"], content)
        patch_catalogue(monkeypatch, f"http://127.0.0.1:{server.server_port}/")
        (archives / NAMES["train"]).unlink(missing_ok=True)
        with pytest.raises(DataError, match=sentence):
            download(parameters(archives), raw)


def test_catalogue_is_tonics():
    datasets = pytest.importorskip("tonic.datasets", reason="tonic is installed with the tests up to Python 3.11")
    prefixes = {"train": "train", "validation": "valid", "test": "test"}
    for source, listed in (("shd", datasets.SHD), ("ssc", datasets.SSC)):
        found = shd.catalogue(source)
        assert [one.split for one in found] == [
            split for split, prefix in prefixes.items() if hasattr(listed, f"{prefix}_zip")
        ]
        for one in found:
            name = getattr(listed, f"{prefixes[one.split]}_zip")
            assert (one.name, one.url) == (name, listed.base_url + name)
            assert one.md5 == getattr(listed, f"{prefixes[one.split]}_md5")


@pytest.mark.network
def test_authors_server_has_the_archives():
    for source in ("shd", "ssc"):
        for archive in shd.catalogue(source):
            try:
                request = urllib.request.Request(archive.url, method="HEAD")
                with urllib.request.urlopen(request, timeout=20) as response:
                    assert int(response.headers["Content-Length"]) > 1_000_000
            except OSError as error:
                pytest.skip(f"no network: {error}")
