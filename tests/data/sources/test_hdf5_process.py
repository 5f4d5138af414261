"""HDF5 that is damaged or made to harm ends in one sentence, within seconds and without gigabytes."""

import faulthandler
import logging
import os
import resource
import signal
import time

import h5py
import numpy as np
import pytest
from support.forked_reader import ForkedReader

from eventspeech.data.sources import hdf5, hdf5_process, hdf5_reader
from eventspeech.data.store import from_samples
from eventspeech.errors import DataError

SAMPLES = 6


def good(path):
    samples = [(np.linspace(1, 900, 20), np.arange(20) + index) for index in range(SAMPLES)]
    numbers = np.arange(SAMPLES) % 3
    hdf5.write(path, from_samples(samples, numbers, numbers, ["a", "b", "c"], ["0", "1", "2"], 1000.0))
    return path


def refused(path):
    """Read ``path``; return the sentence."""
    start, children = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(DataError) as caught:
        hdf5.read({"train": path}, "train")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - children < 10 and time.monotonic() - start < 60
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence
    return sentence


def with_circle(path):
    """Let an object of the heap claim to be free space of no length: libhdf5 steps over it for ever."""
    content = bytearray(good(path).read_bytes())
    heap = content.rindex(b"GCOL")
    size = int.from_bytes(content[heap + 24 : heap + 32], "little")
    second = heap + 32 + (size + 7) // 8 * 8
    content[second : second + 2] = bytes(2)
    content[second + 8 : second + 16] = bytes(8)
    path.write_bytes(content)
    return path


def test_a_heap_that_goes_round_in_circles_ends_within_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_process, "CPU_S", 1.0)
    sentence = refused(with_circle(tmp_path / "a.h5"))
    assert sentence == (
        f"{tmp_path}/a.h5 is damaged: reading it did not end within 1 s of processor time; fetch or make it again."
    )


def test_a_disk_that_does_not_answer_ends_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_process, "STALL_S", -29.0)
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    monkeypatch.setattr(ForkedReader, "serve", staticmethod(lambda request, out: time.sleep(60)))
    assert "was not read within 1 s; see whether its disk answers" in refused(good(tmp_path / "a.h5"))


def test_what_comes_back_is_bounded(tmp_path, monkeypatch):
    """The reading process may be out of its mind: what it says is checked, too."""
    said = b'{"kind": "block", "arrays": [["times", "<f8", 1099511627776]]}\n'
    monkeypatch.setattr(ForkedReader, "serve", staticmethod(lambda request, out: out.write(said)))
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    assert "the reading process ended with status 0" in refused(good(tmp_path / "a.h5"))


def test_a_crash_of_the_library_is_a_damaged_file(tmp_path, monkeypatch):
    def crash(*_):
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(ForkedReader, "serve", staticmethod(crash))
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    assert "is damaged: reading it broke off inside the HDF5 library (SIGSEGV)" in refused(good(tmp_path / "a.h5"))


def test_memory_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(ForkedReader, "serve", staticmethod(greedy))
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    assert "asks for more memory than its size explains (over 768 MiB)" in refused(good(tmp_path / "a.h5"))


def greedy(request, out):
    def facts(path):
        return np.ones(1 << 28)  # 2 GiB

    original, hdf5_reader.facts = hdf5_reader.facts, facts
    try:
        hdf5_reader.serve(request, out)
    finally:
        hdf5_reader.facts = original


def replaced(path, name, make):
    with h5py.File(good(path), "a") as file:
        del file[name]
        make(file)
    return path


def virtual(file):
    layout = h5py.VirtualLayout((SAMPLES,), "u2")
    layout[:] = h5py.VirtualSource("gone.h5", "labels", (SAMPLES,))
    file.create_virtual_dataset("labels", layout)


HOSTILE = {
    "virtual": ("labels", virtual, "labels is a virtual dataset, so its values lie elsewhere"),
    "external storage": (
        "labels",
        lambda file: file.create_dataset("labels", (SAMPLES,), "u2", external=[("/etc/passwd", 0, 2 * SAMPLES)]),
        "labels is kept in external files",
    ),
    "external link": (
        "labels",
        lambda file: file.__setitem__("labels", h5py.ExternalLink("/etc/other.h5", "/labels")),
        r"labels is a link that leads out of the file (/etc/other.h5); copy the data into the file",
    ),
    "external link of the group": (
        "spikes",
        lambda file: file.__setitem__("spikes", h5py.ExternalLink("other.h5", "/spikes")),
        "is a link that leads out of the file (other.h5)",
    ),
    "circle of links": (
        "labels",
        lambda file: file.__setitem__("labels", h5py.SoftLink("/labels")),
        "labels is a link that leads out of the file",
    ),
    "dangling link": (
        "labels", lambda file: file.__setitem__("labels", h5py.SoftLink("/nowhere")), "has no dataset labels"
    ),
    "announced only": (
        "labels", lambda file: file.create_dataset("labels", (SAMPLES,), "u2"), "labels was announced, but not all"
    ),
    "half written": (
        "labels",
        lambda file: file.create_dataset("labels", (SAMPLES,), "u2", chunks=(2,)).__setitem__(slice(0, 4), 1),
        "labels was announced, but not all of it was written",
    ),
    "rows announced only": (
        "spikes/times",
        lambda file: file.create_dataset("spikes/times", (SAMPLES,), h5py.vlen_dtype(np.float16)),
        "spikes/times was announced, but not all of it was written",
    ),
    "2^40 labels": (
        "labels",
        lambda file: file.create_dataset("labels", (2**40,), "u2", chunks=(1024,)),
        "labels claims 1099511627776 values, but the file has",
    ),
    "packed zeros": (
        "labels",
        lambda file: file.create_dataset("labels", data=np.zeros(10**6, "u8"), chunks=(10**6,), compression="gzip"),
        "labels claims 1000000 values, but the file has",
    ),
    "a huge chunk": (
        "labels",
        lambda file: file.create_dataset(
            "labels", (SAMPLES,), chunks=(1 << 27,), maxshape=(None,), compression="gzip", dtype="u2"
        ),
        "labels claims 256 MiB in a file of",
    ),
    "wide texts": (
        "extra/keys",
        lambda file: file.create_dataset("extra/keys", (3,), "S100000000", chunks=(1,)),
        "extra/keys claims 286 MiB in a file of",
    ),
    "object references": (
        "extra/speaker",
        lambda file: file.create_dataset("extra/speaker", data=[file["labels"].ref] * SAMPLES, dtype=h5py.ref_dtype),
        "extra/speaker has 1 dimensions and the type reference",
    ),
    "region references": (
        "extra/speaker",
        lambda file: file.create_dataset(
            "extra/speaker", data=[file["labels"].regionref[:2]] * SAMPLES, dtype=h5py.regionref_dtype
        ),
        "extra/speaker has 1 dimensions and the type reference",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    replaced_name, make, sentence = HOSTILE[name]
    assert sentence in refused(replaced(tmp_path / "a.h5", replaced_name, make))


def test_a_block_that_the_index_no_longer_finds_is_not_read_as_zeros(tmp_path, monkeypatch):
    """The block's checksum is right, but its place in the index is not: libhdf5 reads zeros and says nothing."""
    path = replaced(
        tmp_path / "a.h5",
        "labels",
        lambda file: file.create_dataset("labels", data=np.ones(SAMPLES, "u2"), chunks=(SAMPLES,), fletcher32=True),
    )
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        address = file["labels"].id.get_chunk_info(0).byte_offset
    entry = content.find(address.to_bytes(8, "little"))
    content[entry - 15] = 255  # of the block's place in the dataset, which stands 16 bytes before its address
    path.write_bytes(content)
    with h5py.File(path) as file:
        assert not file["labels"][()].any()
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    assert "labels was announced, but not all of it was written" in refused(path)


def test_rows_that_share_their_bytes_are_refused(tmp_path, monkeypatch):
    """A row is a reference of 16 bytes: a thousand of them to one row of a megabyte are a gigabyte."""
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    path = tmp_path / "a.h5"
    samples = [(np.linspace(1, 900, 100_000), np.zeros(100_000, int)), *[([1.0], [1])] * 99]
    hdf5.write(path, from_samples(samples, [0] * 100, [0] * 100, ["a"], ["0"], 1000.0))
    with h5py.File(path) as file:
        places = {
            name: (file[name].id.get_offset(), file[name].id.get_storage_size())
            for name in ("spikes/times", "spikes/units")
        }
    content = bytearray(path.read_bytes())
    for offset, size in places.values():
        content[offset : offset + size] = content[offset : offset + 16] * (size // 16)
    path.write_bytes(content)
    assert "its rows hold more bytes than the file" in refused(path)


def test_no_filter_no_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    path = tmp_path / "a.h5"
    with h5py.File(good(path), "a") as file:
        del file["labels"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((SAMPLES,))
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        h5py.h5d.create(file.id, b"labels", h5py.h5t.NATIVE_UINT16, h5py.h5s.create_simple((SAMPLES,)), plan)
    assert "labels is packed by filter 32015" in refused(path)


def test_the_sentence_names_the_file_that_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    files = {"train": good(tmp_path / "good.h5"), "test": tmp_path / "bad.h5"}
    files["test"].write_bytes(files["train"].read_bytes()[:-500])
    with pytest.raises(DataError, match=r"bad\.h5 is truncated"):
        hdf5.describe(files)


def test_times_out_of_order_are_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    path = good(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["spikes/times"][2] = file["spikes/times"][2][::-1]
    with caplog.at_level(logging.WARNING, "eventspeech"):
        spikes = hdf5.read({"train": path}, "train")
    assert "the times of 1 of 6 samples are not in order; they are sorted" in caplog.messages[0]
    assert spikes.sample(2)[0].tolist() == sorted(spikes.sample(2)[0].tolist())
