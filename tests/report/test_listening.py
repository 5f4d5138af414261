"""The recording of an example can be heard where the test kept it, and nothing is said where it did not."""

import base64
import copy
import dataclasses
import io

import numpy as np
import soundfile

from eventspeech.records.examples import SOUND
from eventspeech.report import listening


def test_what_is_heard_is_the_recording_of_the_sample_that_is_drawn(study):
    (one,) = listening.of_example(study)
    data = study.examples["exponential"]
    assert one["words"] == "“one”, spoken by s01"
    content = base64.b64decode(one["link"].removeprefix("data:audio/wav;base64,"))
    heard, rate_hz = soundfile.read(io.BytesIO(content), dtype="int16")
    np.testing.assert_array_equal(heard, data["sound"][:800])
    assert rate_hz == 8000


def test_without_recordings_there_is_nothing_to_hear(study):
    shown = copy.deepcopy(study.examples)
    for name in SOUND:
        del shown["exponential"][name]
    assert listening.of_example(dataclasses.replace(study, examples=shown)) == []
