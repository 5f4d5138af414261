"""Parameters on the way from a source of speech to spikes."""

import os
import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from eventspeech.params.groups import Count, CountOrNone, Group, Line, Milliseconds, Positive, Seed, Text, Unit
from eventspeech.paths import RAW


class Synthetic(Group):
    """Digits spoken by espeak-ng: 20 words (English and German), speakers made of voice, pitch and rate."""

    speakers: Annotated[int, Field(ge=3, le=64), Unit("speakers")] = Field(
        14, description="how many, the same ones for the same seed"
    )
    takes: Annotated[int, Field(gt=0, le=1000), Unit("recordings")] = Field(
        3, description="recordings of each word by each speaker"
    )
    test_speakers: Annotated[Count, Unit("speakers")] = Field(
        2, description="speakers that occur only in the test split (the last ones)"
    )
    test_takes: Annotated[CountOrNone, Unit("recordings")] = Field(
        1, description="takes of each training speaker's word kept for testing"
    )
    seed: Annotated[Seed, Unit("")] = Field(0, description="of the draw of voices and takes")


class Recordings(Group):
    """A folder of recordings, in any format that libsndfile reads (wav, flac, ogg, mp3, ...)."""

    folder: Line | None = Field(
        None, description="the folder, searched recursively; links are followed, hidden files and folders left out"
    )
    manifest: Line | None = Field(
        None,
        description="CSV in UTF-8 with columns path, label, speaker and, if wanted, take and split (train, validation, "
        "test); paths are relative to the folder, or to the manifest where no folder is set; default: from file names",
    )
    pattern: str = Field(
        r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<take>\d+)",
        description="regular expression with groups label, speaker and, if wanted, take and split, for all of the "
        "file's name without its ending; with a / in it, for all of the path below the folder",
    )
    test_speakers: list[Text] = Field([], description="speakers that occur only in the test split")
    test_takes: Annotated[CountOrNone, Unit("recordings")] = Field(
        0, description="the first takes of each training speaker's word, kept for testing"
    )
    unusable: Literal["refuse", "leave_out"] = Field(
        "refuse", description="recordings that are damaged, silent, links to nothing, not readable or wrongly named"
    )
    copies: Literal["refuse", "leave_out"] = Field(
        "refuse", description="recordings that are there twice; leave_out keeps the first of them"
    )
    other_files: Literal["refuse", "warn"] = Field("warn", description="files in the folder that are no recordings")

    @pydantic.field_validator("pattern")
    @classmethod
    def _names_label_and_speaker(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"this is not a regular expression ({error}); correct it") from error
        missing = [name for name in ("label", "speaker") if name not in groups]
        if missing:
            listed = " and ".join(f"(?P<{name}>...)" for name in missing)
            raise ValueError(f"it has no group {listed}, by which a file's name would tell it; add it")
        return unicodedata.normalize("NFC", pattern)

    @property
    def tells_splits(self) -> bool:
        """Whether the recordings may come with splits of their own."""
        return self.manifest is not None or "split" in re.compile(self.pattern).groupindex


class Download(Group):
    """Where the speech comes from."""

    source: Literal["synthetic", "recordings", "hdf5", "shd", "ssc"] = Field(
        "synthetic",
        description="synthetic: espeak-ng; recordings: a folder; hdf5: files in SHD's layout; shd, ssc: downloaded",
    )
    archives: Line = Field("data/archives", description="shd, ssc: where downloaded archives are kept")
    synthetic: Synthetic = Synthetic()
    recordings: Recordings = Recordings()
    hdf5_train: Line | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_test: Line | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_validation: Line | None = Field(None, description="hdf5: file in SHD's layout; for the protocol official")

    def paths(self) -> dict[str, str]:
        """Return the keys of the chosen source that name files or folders of the user's, with what they name."""
        own = {f"hdf5_{split}": getattr(self, f"hdf5_{split}") for split in ("train", "validation", "test")}
        if self.source == "recordings":
            own = {f"recordings.{key}": getattr(self.recordings, key) for key in ("folder", "manifest")}
        elif self.source != "hdf5":
            own = {"archives": self.archives} if self.source in ("shd", "ssc") else {}
        return {f"download.{key}": path for key, path in own.items() if path is not None}

    @pydantic.model_validator(mode="after")
    def _outside_what_is_made_anew(self) -> "Download":
        for key, path in self.paths().items():
            # a workflow deletes this folder before it calls the stage that could refuse
            if PurePosixPath(os.path.normpath(path)).is_relative_to(RAW):
                raise ValueError(f"{key} = {path} lies in {RAW}, which is made anew; keep it elsewhere")
        return self

    @property
    def has_validation(self) -> bool:
        """Whether the source comes with a validation split of its own."""
        if self.source == "recordings":
            return self.recordings.tells_splits
        return self.source == "ssc" or (self.source == "hdf5" and self.hdf5_validation is not None)


class Cochlea(Group):
    """The cochlea model of SHD (Cramer et al. 2020), for sources of audio; defaults are the published values."""

    seed: Annotated[Seed, Unit("")] = Field(0, description="of the hair cells' random release")
    level: Annotated[Positive, Unit("full scale")] = Field(
        0.3, description="root mean square the audio is normalised to"
    )
    fibres: Annotated[int, Field(gt=0, le=1000), Unit("fibres")] = Field(
        40, description="hair-cell fibres that drive one bushy cell"
    )


class Preprocess(Group):
    """From raw source to the spike store."""

    trial_ms: Annotated[Milliseconds, Unit("ms")] = Field(1000.0, description="T; later spikes are cut off")
