"""The published numbers and claims that the results are set beside: the only numbers here that no stage computes."""

from dataclasses import dataclass

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
class Claim:
    """A published claim: a short name, what is claimed, and by whom."""

    name: str
    text: str
    source: str


ACCURACY_OF_EXPONENTIAL = Claim(
    "accuracy, exponential",
    "With the exponential weight a network reaches 91.5 % on the validation speaker and 93.3 % on SHD's test set.",
    THESIS,
)
ACCURACY_OF_GAUSSIAN = Claim(
    "accuracy, Gaussian",
    "With the Gaussian weight a network reaches 91.5 % on the validation speaker and 92.9 % on SHD's test set.",
    THESIS,
)
AS_GOOD = Claim(
    "as good in the end",
    "The Gaussian weight reaches the same best validation accuracy as the exponential, and 0.4 points less on the test "
    "set (91.5 % and 92.9 % against 91.5 % and 93.3 %).",
    THESIS,
)
FASTER = Claim(
    "faster at first",
    "With the Gaussian weight the network learns much faster in the first epochs.",
    THESIS,
)
BEHIND = Claim(
    "behind in the end",
    "In the logs the Gaussian weight leads for about 30 epochs and ends 1 to 2 points behind the exponential.",
    LOGS,
)
GPU_FASTER = Claim(
    "GPU faster than CPU",
    "A training epoch on a CPU at batch size 1 takes over 10 times as long as on a GPU.",
    THESIS,
)
GPU_SPARES_ENERGY = Claim(
    "GPU spares energy",
    "Training on a CPU takes more energy in all than on a GPU.",
    THESIS,
)

SLOWDOWN = 10.0
"""The factor in :data:`GPU_FASTER`."""
