"""Seeds with names: the same on every machine, different for everything that has another name."""

import itertools

import numpy as np
import pytest

from eventspeech.seeds import derive_seed, generator


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((0,), 4066689987807800415),
        ((0, "order", 1), 4140744548992472162),
        ((7, "weights", "input_hidden1"), 15736512079615769808),
    ],
)
def test_seeds_are_the_same_on_every_machine_and_in_every_version(axes, expected):
    # written down once: a change of these changes every result
    assert derive_seed(*axes) == expected


def test_names_that_differ_give_seeds_that_differ():
    axes = [(), ("a",), ("ab",), ("a", "b"), ("b", "a"), ("a", "b", ""), ("order", 1), ("order", 11), ("order", 1, 1)]
    found = {derive_seed(base, *names) for base, names in itertools.product((0, 1, 11), axes)}
    assert len(found) == 3 * len(axes)
    assert all(0 <= seed < 2**64 for seed in found)


def test_a_number_and_its_name_are_one_axis():
    assert derive_seed(3, np.int64(5)) == derive_seed(3, 5) == derive_seed(3, "5")


def test_generators_depend_on_nothing_but_their_name():
    expected = generator(1, "a").random(3)
    generator(1, "b").random(100)
    np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(generator(1, "a").random(3), expected)
    assert not np.array_equal(generator(1, "b").random(3), expected)
