"""The published numbers and claims that the results are set beside: the only numbers here that no stage computes."""

import math
from dataclasses import dataclass

from eventspeech.params import Kind

PAPER, THESIS, LOGS = "paper", "thesis", "logs"

SOURCES = {
    THESIS: "the thesis that proposed the Gaussian weight: SHD, 512 recurrent hidden neurons, best of 300 epochs, one "
    "run a loss; for the first epochs 5 runs of 100 epochs a loss",
    LOGS: "the log files published with its code: 1024 hidden neurons without recurrence, 5 runs of 200 epochs a loss, "
    "accuracy on a speaker held out",
    PAPER: "Nowotny, Turner & Knight 2025, doi 10.1088/2634-4386/ada852: mean ± standard deviation of 8 seeds",
}
"""What each published number rests on."""


@dataclass(frozen=True)
class Accuracy:
    """A published accuracy on SHD (fractions); ``kind`` is the shape of the loss it was reached with."""

    kind: str
    validation: float | None
    validation_epoch: int | None
    test: float | None
    test_sd: float | None
    source: str


ACCURACIES = (
    Accuracy("exponential", 0.915, 281, 0.933, None, THESIS),
    Accuracy("gaussian", 0.915, None, 0.929, None, THESIS),
    Accuracy("exponential", None, None, 0.935, 0.007, PAPER),
)


@dataclass(frozen=True)
class Part:
    """One thing that a claim says: a quantity and the range it lies in.

    Attributes:
        text: what is said, in words.
        quantity: what is measured of it: a key of `quantities.QUANTITIES`.
        low: least value of the range, in ``unit``; may be infinite.
        high: greatest value of it.
        unit: of both: `%`, `points` (of percent), `epochs` or `times`.
        margin: where the ends come from that the claim itself does not name; empty where it names them.
    """

    text: str
    quantity: str
    low: float
    high: float
    unit: str
    margin: str = ""


@dataclass(frozen=True)
class Claim:
    """A published claim: a short name, what is claimed, by whom, and its parts, each tested by itself."""

    name: str
    text: str
    source: str
    parts: tuple[Part, ...]


_LEVEL_MARGIN = 1.4
_LEVEL_WHY = "1.4 points: two standard deviations of the paper's seeds"


def _level(accuracy: Accuracy, where: str, quantity: str) -> Part:
    published = 100 * getattr(accuracy, quantity)
    low, high = (round(published + end, 1) for end in (-_LEVEL_MARGIN, _LEVEL_MARGIN))
    return Part(f"{published:.1f} % on {where}", f"{quantity}_level", low, high, "%", _LEVEL_WHY)


def _levels(name: str, shape: str, accuracy: Accuracy) -> Claim:
    assert accuracy.validation is not None and accuracy.test is not None, "the thesis tells both"
    text = (
        f"With the {shape} weight a network reaches {100 * accuracy.validation:.1f} % on the validation speaker and "
        f"{100 * accuracy.test:.1f} % on SHD's test set."
    )
    places = {"validation": "the validation speaker", "test": "the test set"}
    parts = tuple(_level(accuracy, where, quantity) for quantity, where in places.items())
    return Claim(name, text, accuracy.source, parts)


ACCURACY_OF_EXPONENTIAL = _levels("accuracy, exponential", "exponential", ACCURACIES[0])
ACCURACY_OF_GAUSSIAN = _levels("accuracy, Gaussian", "Gaussian", ACCURACIES[1])
AS_GOOD = Claim(
    "as good in the end",
    "The Gaussian weight reaches the same best validation accuracy as the exponential, and 0.4 points less on the test "
    "set (91.5 % and 92.9 % against 91.5 % and 93.3 %).",
    THESIS,
    (
        Part("the same best validation accuracy", "best_validation", -1.0, 1.0, "points",
             "1 point: from there on the logs call a loss behind"),
        Part("0.4 points less on the test set", "test", -0.8, 0.0, "points",
             "0.4 points, the difference itself, so that its sign is tested with it"),
    ),
)  # fmt: skip
FASTER = Claim(
    "faster at first",
    "With the Gaussian weight the network learns much faster in the first epochs.",
    THESIS,
    (
        Part("faster in the first epochs", "early_validation", 0.0, math.inf, "points"),
        Part("much faster", "early_validation", 5.0, math.inf, "points",
             "5 points of mean accuracy over the first epochs: a number of this report, for a word of the thesis"),
    ),
)  # fmt: skip
BEHIND = Claim(
    "behind in the end",
    "In the logs the Gaussian weight leads for about 30 epochs and ends 1 to 2 points behind the exponential.",
    LOGS,
    (
        Part(
            "leads for about 30 epochs",
            "lead",
            20.0,
            40.0,
            "epochs",
            "10 epochs: the logs tell ahead at 20 epochs and behind at 50",
        ),
        Part("ends behind", "final_validation", -math.inf, 0.0, "points"),
        Part("1 to 2 points behind", "final_validation", -2.5, -0.5, "points", "half a point: what rounds to 1 to 2"),
    ),
)  # fmt: skip
GPU_FASTER = Claim(
    "GPU faster than CPU",
    "A training epoch on a CPU at batch size 1 takes over 10 times as long as on a GPU.",
    THESIS,
    (Part("over 10 times as long", "time_ratio", 10.0, math.inf, "times"),),
)
GPU_SPARES_ENERGY = Claim(
    "GPU spares energy",
    "Training on a CPU takes more energy in all than on a GPU.",
    THESIS,
    (Part("more energy", "energy_ratio", 1.0, math.inf, "times"),),
)

ACCURACY_OF_PAPER = Claim(
    "accuracy, paper",
    "With the exponential weight and the whole recipe a network reaches 93.5 ± 0.7 % on SHD's test set.",
    PAPER,
    (_level(ACCURACIES[2], "the test set", "test"),),
)

OF_LEVELS: dict[Claim, Kind] = {
    ACCURACY_OF_EXPONENTIAL: "exponential", ACCURACY_OF_GAUSSIAN: "gaussian", ACCURACY_OF_PAPER: "exponential",
}  # fmt: skip
"""Claims about the accuracy of one weight, with the kind of that weight."""
OF_LOSSES = (AS_GOOD, FASTER, BEHIND)
OF_DEVICES = (GPU_FASTER, GPU_SPARES_ENERGY)
UNTESTED = (
    "The paper also tells of a third of the time and a quarter of the memory of backpropagation through time (Spyx, "
    "batch 32); its own logs have 777 s against 2985 s and 342 MB against 1618 MB for 100 epochs of 256 hidden neurons "
    "at 1 ms, and 356 s against 222 s at 5 ms. A study trains by Eventprop alone, so that nothing is said about this "
    "here."
)
"""What is claimed of other methods, which no stage of a study trains with."""

CLAIMS = (*OF_LEVELS, *OF_LOSSES, *OF_DEVICES)
"""All claims, in the order of the report."""
