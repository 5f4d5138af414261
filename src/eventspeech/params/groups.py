"""What all groups of parameters have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

CHANNELS = 700
"""Cochlea channels of SHD, SSC and the embedded encoder."""


class Group(BaseModel):
    """A frozen group of parameters that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Engine = Literal["cpu", "cuda", "genn"]
"""What computes: a module of `engines` each."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]

Fold = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
"""Names a folder, hence letters, digits, _ and - only."""
