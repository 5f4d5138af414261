"""The load that `profile` measures."""

import pytest
from support import tiny

from eventspeech.learning.workload import Workload

pytestmark = pytest.mark.usefixtures("quick")


def test_the_workload_of_profile_is_this_training(parts):
    params = tiny.make_params(profile={"samples": 10})
    epoch = Workload(params, "exponential", 4, parts.learned).epoch
    first, second = epoch(), epoch()
    assert first.samples == second.samples == 10
    assert first.loss != second.loss


@pytest.mark.parametrize(("samples", "shown"), [(None, 20), (72, 15), (49, 11)])
def test_a_measured_epoch_blends_as_large_a_share(parts, samples, shown):
    # of 48 training samples 10 are measured, whichever classes they are of
    blend = {"probabilities": [0.5, 0.5], "samples": samples}
    params = tiny.make_params(profile={"samples": 10}, augmentation={"blend": blend})
    assert Workload(params, "exponential", 4, parts.learned).epoch().samples == shown
