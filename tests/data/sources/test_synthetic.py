"""Synthesised speech."""

import subprocess
import sys

import numpy as np

from eventspeech.data.recordings_index import read_index
from eventspeech.data.sources import synthetic
from eventspeech.params import Synthetic


def test_synthetic_set(tmp_path):
    parameters = Synthetic(speakers=3, takes=2, test_speakers=1, test_takes=1)
    synthetic.make(parameters, tmp_path)
    entries = read_index(tmp_path)
    assert len(entries) == 3 * 20 * 2 == len(list((tmp_path / "audio").glob("*.wav")))
    assert tuple(dict.fromkeys(entry.label for entry in entries)) == synthetic.WORDS
    assert {(e.speaker, e.take) for e in entries if e.split == "train"} == {("s01", 1), ("s02", 1)}
    assert {e.speaker for e in entries} == {"s01", "s02", "s03"}
    durations = np.array([entry.duration_s for entry in entries])
    assert 0.15 < durations.min() and durations.max() < 1.2
    assert len({entry.sha256 for entry in entries}) == len(entries), "takes differ"
    # fewer takes: the same files, and none left over
    synthetic.make(Synthetic(speakers=3, takes=1, test_speakers=1, test_takes=0), tmp_path)
    fewer = {entry.path: entry.sha256 for entry in read_index(tmp_path)}
    assert len(fewer) == 60 == len(list((tmp_path / "audio").glob("*.wav")))
    assert fewer.items() <= {entry.path: entry.sha256 for entry in entries}.items()


def test_a_take_depends_on_its_own_names_alone():
    speaker = synthetic.speaker(4)
    first, _ = synthetic.say("sieben", speaker, 1, 5)
    synthetic.say("zero", synthetic.speaker(2), 0, 5)
    again, _ = synthetic.say("sieben", speaker, 1, 5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, synthetic.say("sieben", speaker, 2, 5)[0])
    assert not np.array_equal(first, synthetic.say("sieben", speaker, 1, 6)[0])


def test_a_take_is_the_same_in_another_process():
    code = (
        "import hashlib; from eventspeech.data.sources import synthetic as s;"
        "print(hashlib.sha256(s.say('eight', s.speaker(2), 0, 3)[0].tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1 and len(runs.pop()) == 65


def test_speakers_are_distinct_and_mixed():
    speakers = [synthetic.speaker(number) for number in range(1, 65)]
    assert len({(s.variant, s.rate_wpm, s.pitch) for s in speakers}) == 64
    assert all(s.variant in (synthetic.FEMALE if n % 2 == 0 else synthetic.MALE) for n, s in enumerate(speakers, 1))


def test_every_speaker_of_the_default_can_speak():
    for number in range(1, 2 * max(len(synthetic.MALE), len(synthetic.FEMALE)) + 1):
        for word in ("one", "fuenf"):
            samples, rate_hz = synthetic.say(word, synthetic.speaker(number), 0, 0)
            assert 0.15 < len(samples) / rate_hz < 1.2
