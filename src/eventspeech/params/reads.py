"""Which parameters each stage reads: what decides whether it must run again."""

from typing import Any

from eventspeech.params.groups import Group
from eventspeech.params.study import Params


def _without(group: str, *keys: str) -> tuple[str, ...]:
    kind = Params.model_fields[group].annotation
    assert isinstance(kind, type) and issubclass(kind, Group)
    return tuple(f"{group}.{key}" for key in kind.model_fields if key not in keys)


READ_BY: dict[str, tuple[str, ...]] = {
    "download": ("download",),
    "preprocess": ("preprocess", "cochlea"),
    "baseline": ("baseline", "validation"),
    "train": ("train", "optimiser", "network", "augmentation", "validation", "shape.{loss}"),
    "evaluate": ("evaluate",),
    "compare": ("study", "compare"),
    # a measurement knows nothing of other batch sizes
    "profile": (
        *_without("profile", "cpu_batch_sizes", "cuda_batch_sizes"),
        "optimiser",
        "network",
        "augmentation",
        "shape.{loss}",
    ),
    # a loss's tuning knows nothing of other losses', and is the same with any number of workers, but for the draws
    "tune": (
        *_without("tune", "losses", "workers"),
        "study.folds",
        "train",
        "optimiser",
        "network",
        "augmentation",
        "validation",
        "shape.{loss}",
    ),
    "report": tuple(Params.model_fields),
}
"""Which groups or leaves each verb reads; Snakemake rules and DVC stages declare exactly these."""


def select(params: Params, verb: str, loss: str | None = None) -> dict[str, Any]:
    """Return what ``verb`` reads, as plain values: what decides whether it must run again."""
    loss = params.profile.loss if verb == "profile" else loss
    if any("{loss}" in template for template in READ_BY[verb]):
        assert loss is not None, f"{verb} reads the parameters of one loss"
        params = (params.untuned() if verb == "tune" else params).for_loss(loss)
    content = params.model_dump(mode="json")
    selected = {}
    for template in READ_BY[verb]:
        key = template.format(loss=loss)
        value: Any = content
        for part in key.split("."):
            value = value[part]
        selected[key] = value
    return selected
