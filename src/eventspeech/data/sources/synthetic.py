"""Twenty digit words spoken by espeak-ng: English and German, as in SHD, by speakers made of voice, rate and pitch."""

import _ctypes
import ctypes
import io
import platform
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eventspeech import machine, seeds
from eventspeech.data import audio, encoding, recordings_index
from eventspeech.data.recordings_index import entry, write_index
from eventspeech.data.sources import Made, Source, Words
from eventspeech.errors import UserError
from eventspeech.params import Params, Synthetic
from eventspeech.progress import track

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun")
WORDS = ENGLISH + GERMAN
"""Names of the classes, in SHD's order."""

SPELT = {"fuenf": "fünf"}

# Voice variants of espeak-ng that sound like men and women; robots, whispers and croaks are left out. With the default
# number of speakers, the last ones of each are neither like another one nor unlike all: a logistic regression on
# spike counts, trained on the others, understands most of their words.
MALE = ("m1", "Lee", "m4", "m2", "john", "m3", "Gene", "Mike", "m7", "max", "edward", "m8", "rob", "Andy")
FEMALE = ("f2", "linda", "f1", "f4", "Alicia", "f5", "Annie", "belinda", "f3", "steph", "anika", "aunty", "steph2")

NOISE = 0.01  # of the word's root mean square
QUIET = 0.01  # of the word's peak: what is below at either end is cut off
MARGIN_S = 0.01  # left at either end

# espeak-ng's constants
SYNCHRONOUS, DO_NOT_EXIT, UTF8 = 2, 0x8000, 1
RATE, PITCH, RANGE = 1, 3, 4
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Speaker:
    """A speaker of both languages.

    Attributes:
        name: s01, s02, ...; odd numbers have male voices, even ones female, so that the last few are always mixed.
        variant: espeak-ng's voice variant.
        english: espeak-ng's English voice.
        rate_wpm: words per minute.
        pitch, pitch_range: 0..100, espeak-ng's units.
    """

    name: str
    variant: str
    english: str
    rate_wpm: float
    pitch: float
    pitch_range: float


def speaker(number: int) -> Speaker:
    """Return speaker ``number`` (from 1): the same whatever the number of speakers and the seed.

    Rate, pitch and range fill their intervals evenly (additive recurrences with irrational steps).
    """
    variants = FEMALE if number % 2 == 0 else MALE
    turn = (number - 1) // 2
    return Speaker(
        name=f"s{number:02d}",
        variant=variants[turn % len(variants)],
        english=("en-us", "en")[turn % 2],
        rate_wpm=140 + 50 * (number * 0.6180339887 % 1),
        pitch=30 + 35 * (number * 0.7548776662 % 1),
        pitch_range=30 + 40 * (number * 0.5698402910 % 1),
    )


def make(parameters: Synthetic, out: Path) -> None:
    """Synthesise all recordings into ``out/audio`` (16-bit wav, 22.05 kHz) and index them in ``out/recordings.csv``.

    The last ``test_speakers`` speakers are in the test split only; of the others the first ``test_takes`` takes of
    each word are in the test split, too. A recording depends on the seed, its speaker, word and take alone.

    Raises:
        UserError: espeak-ng's library is not installed.
    """
    folder = Path(out) / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    if parameters.test_speakers >= parameters.speakers:
        raise UserError("download.synthetic.test_speakers leaves no speaker for training; raise speakers.")
    first_unseen = parameters.speakers - parameters.test_speakers + 1
    planned = [
        (word, number, take)
        for word in WORDS
        for number in range(1, parameters.speakers + 1)
        for take in range(parameters.takes)
    ]
    entries = []
    for word, number, take in track(planned, len(planned), "synthesis", "words"):
        who = speaker(number)
        samples, rate_hz = say(word, who, take, parameters.seed)
        file = folder / f"{word}_{who.name}_{take}.wav"
        # the index, written last, is what makes the files count; so none of them need be written atomically
        file.write_bytes(_wav(samples, rate_hz))
        split = "test" if number >= first_unseen or take < parameters.test_takes else "train"
        entries.append(entry(file, f"audio/{file.name}", audio.read(file), word, who.name, split, take))
    for stale in set(folder.glob("*.wav")) - {Path(out) / one.path for one in entries}:
        stale.unlink()
    write_index(entries, out)


def _wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """Return a wav file; written by ourselves, a full disk is the system's error and not one of libsndfile's."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate_hz, subtype="PCM_16", format="WAV")
    return content.getvalue()


def say(word: str, who: Speaker, take: int, seed: int) -> tuple[np.ndarray, int]:
    """Return a take of a word, trimmed, with faint noise (int16[n]), and its rate in Hz."""
    random = seeds.generator(seed, "synthetic", who.name, word, take)
    language = who.english if word in ENGLISH else "de"
    speech, rate_hz = _synthesise(
        SPELT.get(word, word),
        f"{language}+{who.variant}",
        {
            RATE: round(who.rate_wpm * random.uniform(0.9, 1.1)),
            PITCH: round(who.pitch + random.uniform(-6, 6)),
            RANGE: round(who.pitch_range + random.uniform(-10, 10)),
        },
        int(random.integers(2**31)),
    )
    loud = np.flatnonzero(np.abs(speech) > QUIET * np.abs(speech).max())
    margin = round(MARGIN_S * rate_hz)
    speech = speech[max(0, loud[0] - margin) : loud[-1] + 1 + margin]
    noise = NOISE * np.sqrt(np.mean(speech**2)) * random.standard_normal(len(speech))
    return np.clip(np.rint(speech + noise), -32768, 32767).astype(np.int16), rate_hz


def _synthesise(text: str, voice: str, settings: dict[int, int], seed: int) -> tuple[np.ndarray, int]:
    """Let espeak-ng speak; return float64[n] in units of 16-bit samples, and the rate in Hz.

    The library is loaded afresh for every word (1 ms) since it keeps phases and noise from word to word, which would
    make a recording depend on the ones before it. It also leaves no thread behind, over which a process forked later
    would hang.
    """
    pieces: list[bytes] = []

    def collect(samples: Any, count: int, _events: int) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = CALLBACK(collect)
    with _one_at_a_time:
        library, data = _load()
        try:
            rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DO_NOT_EXIT)
            if rate_hz <= 0:
                raise UserError(f"espeak-ng does not start with its data in {data}; reinstall espeakng-loader.")
            library.espeak_SetSynthCallback(callback)
            library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise UserError(f"espeak-ng has no voice '{voice}'; install the newest espeakng-loader.")
            for setting, value in settings.items():
                library.espeak_SetParameter(setting, value, 0)
            spelt = text.encode() + b"\0"
            library.espeak_Synth(spelt, ctypes.c_size_t(len(spelt)), 0, 1, 0, UTF8, None, None)
            library.espeak_Synchronize()
            library.espeak_Terminate()
        finally:
            _unload(library)
    speech = np.frombuffer(b"".join(pieces), np.int16).astype(np.float64)
    if not np.any(speech):
        raise UserError(f"espeak-ng gave no sound for '{text}' with voice {voice}; reinstall espeakng-loader.")
    return speech, rate_hz


def _load() -> tuple[ctypes.CDLL, str]:
    try:
        import espeakng_loader

        return ctypes.CDLL(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"espeak-ng's library cannot be loaded ({error}); install the package espeakng-loader, or set "
            "download.source to recordings, hdf5 or shd."
        ) from error


def _unload(library: ctypes.CDLL) -> None:
    close = getattr(_ctypes, "dlclose" if hasattr(_ctypes, "dlclose") else "FreeLibrary")
    close(library._handle)


def _make(params: Params, out: Path) -> Made:
    make(params.download.synthetic, out)
    description = {
        "parameters": params.download.synthetic.model_dump(mode="json"),
        "versions": {
            "espeakng-loader": machine.version("espeakng-loader"),
            "numpy": machine.version("numpy"),
            "platform": f"{platform.system()} {platform.machine()}",
        },
    }
    return Made(description, recordings_index.summary(out))


SOURCE = Source(
    Words(
        "digits synthesised by espeak-ng, English and German, through the cochlea model of SHD",
        "synthesised speech",
        "SYNTHETIC SPEECH, not SHD",
        "none: nobody's recordings; the program that speaks, espeak-ng, is under GPL 3 or later",
    ),
    _make, recordings_index.splits, encoding.read, audio=True, publishable=True,
)  # fmt: skip
