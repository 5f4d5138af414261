"""What all groups of parameters have in common."""

import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

CHANNELS = 700
"""Cochlea channels of SHD, SSC and the embedded encoder."""


class Group(BaseModel):
    """A frozen group of parameters that refuses unknown keys, NaN, infinity and values of another type.

    No value is converted, except whole numbers where any number may stand: DVC puts values into paths as the file
    has them, so that `"007"` for 7 or `true` for 1 would name other files there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Engine = Literal["cpu", "cuda", "genn"]
"""What computes: a module of `engines` each."""


def steps_in(time_ms: float, step_ms: float) -> int | None:
    """Return how many time steps a time takes, None if that is no whole number."""
    ratio = time_ms / step_ms
    return None if abs(ratio - round(ratio)) > 1e-6 * max(1.0, ratio) else round(ratio)


@dataclass(frozen=True)
class Unit:
    """The unit of a number, or what it counts; empty for a pure number. `threshold` is the neurons' threshold, 1."""

    name: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return handler(core_schema) | {"unit": self.name}


MOST = 10**7
LEAST, LARGEST = 1e-30, 1e9
LARGEST_SEED = 2**63
MOST_STEPS = 10**6
"""Bounds beyond which no study lies: within them single precision neither overflows nor becomes 0, and counts and steps
fit what computes with them. A model file that holds more is refused, too."""

Count = Annotated[int, Field(gt=0, le=MOST)]
CountOrNone = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Positive = Annotated[float, Field(ge=LEAST, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Real = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Milliseconds = Annotated[float, Field(ge=1e-6, le=LARGEST)]


def composed(value: Any) -> Any:
    """Return a text in Unicode's composed form (NFC), in which names are compared; other values as they are."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _of_one_line(text: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError("it has a line break or control character; remove it")
    return text


Line = Annotated[str, Field(max_length=4096), AfterValidator(_of_one_line)]
"""A path or heading."""


Text = Annotated[str, BeforeValidator(composed)]
"""A name as people write it, in Unicode's composed form."""


Name = Annotated[str, Field(pattern=r"^\w+$", max_length=64), BeforeValidator(composed)]
"""Names a loss and its folder: letters of any script, digits and _."""


Fold = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=64), BeforeValidator(composed)]
"""Names a folder, hence letters of any script, digits, _ and - only."""
