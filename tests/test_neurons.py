"""Single neurons have the properties that are published of them."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime, brentq

from eventspeech import neurons
from eventspeech.neurons import PATTERNS


def growth(current):
    """The largest real part of the eigenvalues of a Hodgkin-Huxley neuron at its steady state, per ms."""
    state = neurons.at_rest(current)
    jacobian = np.array([
        approx_fprime(state, lambda x, row=row: neurons.hodgkin_huxley_flow(x, current)[row], 1e-7) for row in range(4)
    ])  # fmt: skip
    return np.linalg.eigvals(jacobian).real.max()


def test_hodgkin_huxley_loses_its_rest_where_rinzel_and_miller_found_it():
    # Hopf points of the standard equations: 9.78 and 154.5 uA/cm^2 (Rinzel & Miller 1980, Math. Biosci. 49)
    assert brentq(growth, 8, 12) == pytest.approx(9.78, abs=0.02)
    assert brentq(growth, 140, 170) == pytest.approx(154.5, abs=0.5)
    assert neurons.at_rest()[0] == pytest.approx(neurons.RESTING_MV, abs=0.01)


def test_hodgkin_huxley_fires_once_for_a_short_pulse_and_again_for_a_long_one():
    pulses = {ms: neurons.hodgkin_huxley([(0, 0), (5, 20), (5 + ms, 0)], 40) for ms in (5, 10, 15)}
    assert [len(pulses[ms].spikes_ms) for ms in (5, 10, 15)] == [1, 1, 2]
    # the action potential overshoots 0 by some 40 mV (1952, figure 12: 100 mV from rest) and undershoots rest
    assert 30 < pulses[5].voltage_mv.max() < 50 and -80 < pulses[5].voltage_mv.min() < -70
    assert len(neurons.hodgkin_huxley([(0, 0), (5, 2), (10, 0)], 40).spikes_ms) == 0, "below threshold"


def test_integrate_and_fire_has_its_closed_form():
    own = neurons.LeakyIntegrateAndFire()
    rheobase = (own.threshold_mv - own.rest_mv) / own.resistance_mohm
    assert len(neurons.leaky_integrate_and_fire([(0, 0.99 * rheobase)], 200).spikes_ms) == 0
    for current in (1.02 * rheobase, 2 * rheobase, 5 * rheobase):
        # the interval is tau ln(RI / (RI - theta)), Gerstner et al., Neuronal Dynamics (2014), equation 1.9
        period = own.tau_ms * math.log(current / (current - rheobase))
        spikes = neurons.leaky_integrate_and_fire([(0, current)], 6.5 * period).spikes_ms
        np.testing.assert_allclose(spikes, period * np.arange(1, 7), rtol=1e-5)


def test_izhikevich_rests_and_fires_where_its_equations_say():
    regular = PATTERNS["regular spiking"]
    assert neurons.izhikevich(regular, 100, [(0, 0.0)]).voltage_mv[-1] == pytest.approx(-70, abs=1e-3)
    # the saddle-node of b = 0.2 is at (5 - b)^2 = 0.16 (140 + I): from a current of 4 on there is no rest; a step to
    # less gives one spike at most
    for current, fires_on in ((3.5, False), (4.5, True)):
        spikes = neurons.izhikevich(regular, 600, [(0, 0.0), (10, current)]).spikes_ms
        assert np.any(spikes > 100) == fires_on


def test_izhikevichs_patterns_are_what_they_are_called():
    spikes = {name: neurons.izhikevich(constants, 300).spikes_ms for name, constants in PATTERNS.items()}
    gaps = {name: np.diff(found) for name, found in spikes.items()}
    assert gaps["regular spiking"][-1] > 1.5 * gaps["regular spiking"][0], "adapts"
    fast = gaps["fast spiking"]
    assert fast[-1] == pytest.approx(fast[2], rel=0.1) and len(fast) > 2 * len(gaps["regular spiking"]), "does not"
    bursting = gaps["intrinsically bursting"]
    assert bursting[0] < 8 and np.all(bursting[4:] > 2 * bursting[0]), "a burst, then single spikes"
    chattering = gaps["chattering"]
    assert np.sum(chattering > 20) >= 3 and np.median(chattering) < 8, "bursts again and again"
    assert len(spikes["low-threshold spiking"]) > len(spikes["regular spiking"])
    released = spikes["thalamo-cortical, released"]
    assert len(released) >= 2 and np.all(released > 60) and np.all(released < 130), "a burst after the inhibition alone"
