"""When a training counts as collapsed, by hand."""

import pytest

from eventspeech.learning import collapse


# n = 100 samples of 4 classes: sd = 0.0433, at chance up to 0.3799, learned above 0.5098
@pytest.mark.parametrize(
    ("accuracies", "epoch"),
    [
        ([0.3, 0.6, 0.25, 0.25, 0.25], 3),
        ([0.3, 0.6, 0.25, 0.25], None),
        ([0.3, 0.6, 0.37, 0.25, 0.37, 0.3], 3),
        ([0.3, 0.6, 0.25, 0.25, 0.25, 0.6], None),
        ([0.3, 0.6, 0.25, 0.25, 0.25, 0.6, 0.2, 0.2, 0.2], 7),
        ([0.3, 0.6, 0.39, 0.39, 0.39], None),
        ([0.3, 0.6, 0.39, 0.1, 0.0, 0.2], 4),
        ([0.3, 0.5, 0.25, 0.25, 0.25], None),
        ([0.25] * 20, None),
        ([0.9] * 20, None),
        ([], None),
    ],
    ids=[
        "for three epochs", "two may be chance", "within noise", "it came back", "twice", "low, yet above chance",
        "by and by", "had not learned", "never learned", "never fell", "no epoch",
    ],
)  # fmt: skip
def test_a_collapse_is_told(accuracies, epoch):
    assert collapse.collapsed_at(accuracies, 100, 4) == epoch


def test_few_samples_tell_nothing():
    assert collapse.collapsed_at([1.0, 0.25, 0.25, 0.25], 8, 4) is None
    assert collapse.collapsed_at([1.0, 0.25, 0.25, 0.25], 16, 4) == 2
