"""Parameters on the way from a source of speech to spikes."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from eventspeech.params.groups import Group


class Synthetic(Group):
    """Digits spoken by espeak-ng: 20 words (English and German), speakers made of voice, pitch and rate."""

    speakers: Annotated[int, Field(ge=3, le=64)] = 14
    takes: PositiveInt = Field(3, description="recordings of each word by each speaker")
    test_speakers: PositiveInt = Field(2, description="speakers that occur only in the test split (the last ones)")
    test_takes: NonNegativeInt = Field(1, description="takes of each training speaker's word kept for testing")
    seed: NonNegativeInt = 0


class Recordings(Group):
    """A folder of wav or flac files."""

    folder: str | None = Field(None, description="the folder, searched recursively")
    manifest: str | None = Field(
        None, description="CSV with columns path, label, speaker (and optionally split); default: from file names"
    )
    pattern: str = Field(
        r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<take>\d+)", description="regular expression on the file's stem"
    )
    test_speakers: list[str] = Field(default_factory=list, description="speakers that occur only in the test split")
    test_takes: NonNegativeInt = Field(
        0, description="the first takes of each training speaker's word, kept for testing"
    )


class Download(Group):
    """Where the speech comes from."""

    source: Literal["synthetic", "recordings", "hdf5", "shd", "ssc"] = "synthetic"
    archives: str = Field("data/archives", description="shd, ssc: where downloaded archives are kept")
    synthetic: Synthetic = Synthetic()
    recordings: Recordings = Recordings()
    hdf5_train: str | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_test: str | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_validation: str | None = Field(None, description="hdf5: file in SHD's layout; for the protocol official")

    @property
    def has_validation(self) -> bool:
        """Whether the source comes with a validation split of its own."""
        return self.source == "ssc" or (self.source == "hdf5" and self.hdf5_validation is not None)


class Cochlea(Group):
    """The cochlea model of SHD (Cramer et al. 2020), for sources of audio; defaults are the published values."""

    seed: NonNegativeInt = 0
    level: PositiveFloat = Field(0.3, description="root mean square the audio is normalised to")
    fibres: PositiveInt = Field(40, description="hair-cell fibres that drive one bushy cell")


class Preprocess(Group):
    """From raw source to the spike store."""

    trial_ms: PositiveFloat = Field(1000.0, description="T; later spikes are cut off")
