"""Recordings to listen to, where the examples of a test came with theirs."""

import base64
import io
import wave
from typing import Any

import numpy as np

from eventspeech.records.examples import SOUND
from eventspeech.report.results import Results


def of_example(results: Results) -> list[dict[str, str]]:
    """Return the recording of the sample that the figure of an example shows: its words, and it as an address."""
    data = results.examples[results.losses[0]]
    if not SOUND.keys() <= data.keys():
        return []
    word, speaker = data["class_names"][int(data["labels"][0])], data["speakers"][0]
    return [{"words": f"“{word}”, spoken by {speaker}", "link": _address(data)}]


def _address(data: dict[str, Any]) -> str:
    """Return the first recording as an address that holds it whole, a WAV file in base 64."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(int(data["sound_rate_hz"]))
        file.writeframes(np.asarray(data["sound"][slice(*data["sound_offsets"][:2])], "<i2").tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
