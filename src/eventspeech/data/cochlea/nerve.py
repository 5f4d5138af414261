"""From membrane velocity to spikes: hair cell, auditory nerve fibres and bushy cell, fused step by step.

Hair cell: Meddis, JASA 79(3), 702 (1986) and 83(3), 1056 (1988). Fibres: each fires in a step with the hair cell's
probability and then rests for 1 ms. Bushy cell: leaky integrate-and-fire neuron with a current synapse, Cramer et
al. 2020. All at 24 kHz.

A channel's fibres are exchangeable and share the synaptic time constant, so only how many fire in a step matters.
With p = 1 - exp(-h), a free fibre fires in a step if a clock of rate h per step rings in it; the first of ``free``
clocks rings at rate ``free * h``, and by the lack of memory an exponentially distributed budget can be carried on
from step to step until it is used up. One random number a fibre spike is needed instead of one a fibre and step,
and the counts have exactly the distribution of independent Bernoulli trials.
"""

import math

import numba
import numpy as np

from eventspeech.data.cochlea.membrane import OUTPUT_RATE_HZ

# Meddis 1986, 1988: rates per second, transmitter in units of the full pool
REPLENISHMENT = 5.05  # y
RELEASE = 2000.0  # g
LOSS = 2500.0  # l
REUPTAKE = 6580.0  # r
REPROCESSING = 66.3  # x
PERMEABILITY_A = 5.0
PERMEABILITY_B = 300.0
FIRING = 50_000.0  # h, spikes per second and unit of transmitter in the cleft
POOL = 1.0  # M

# Cramer et al. 2020
BUSHY_WEIGHT = 13e3  # per second, shared out among the fibres
TAU_MEM_MS = 1.0
TAU_SYN_MS = 0.5
REFRACTORY_STEPS = OUTPUT_RATE_HZ // 1000
STEPS_PER_MS = OUTPUT_RATE_HZ / 1000

COMPILED = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "nsz"}}
"""numpy's division does not raise, which together with no NaN lets the compiler compute several channels at once."""

TILE = 128
"""Steps computed at once: a tile of one block of channels stays in the first-level cache."""


def resting_transmitter(channels: int) -> np.ndarray:
    """Return transmitter in pool, cleft and reprocessing store at rest, float64[3, channels]."""
    release = RELEASE * PERMEABILITY_A / (PERMEABILITY_A + PERMEABILITY_B)
    cleft = POOL * REPLENISHMENT * release / (LOSS * release + REPLENISHMENT * (LOSS + REUPTAKE))
    pool = cleft * (LOSS + REUPTAKE) / release
    return np.repeat([[pool], [cleft], [cleft * REUPTAKE / REPROCESSING]], channels, axis=1)


@numba.njit(cache=True, **COMPILED)
def hair_cell(velocity, transmitter, probability):
    """Compute each fibre's probability of firing in each step.

    Args:
        velocity: float64[channels, steps] of the membrane.
        transmitter: float64[3, channels] in pool, cleft and store; left at its state after the last step.
        probability: float64[steps, channels], filled; with channels adjacent, the compiler computes several at once.
    """
    for step in range(velocity.shape[1]):
        for channel in range(len(velocity)):
            probability[step, channel] = velocity[channel, step]
        _release(probability[step], transmitter[0], transmitter[1], transmitter[2])


@numba.njit(**COMPILED)
def _release(row, pools, clefts, stores):
    """Advance the hair cells by a step: ``row`` holds velocities and gets probabilities."""
    dt = 1.0 / OUTPUT_RATE_HZ
    for channel in range(len(row)):
        pool, cleft, store = pools[channel], clefts[channel], stores[channel]
        drive = max(row[channel] + PERMEABILITY_A, 0.0)
        ejected = RELEASE * dt * drive / (drive + PERMEABILITY_B) * pool
        reprocessed = REPROCESSING * dt * store
        pools[channel] = max(pool + REPLENISHMENT * dt * max(POOL - pool, 0.0) - ejected + reprocessed, 0.0)
        stores[channel] = max(store + REUPTAKE * dt * cleft - reprocessed, 0.0)
        cleft = max(cleft + ejected - (LOSS + REUPTAKE) * dt * cleft, 0.0)
        clefts[channel] = cleft
        row[channel] = FIRING * dt * cleft


@numba.njit(**COMPILED)
def _hazard(row):
    """Replace each probability p by -log(1 - p)."""
    largest = 0.0
    for channel in range(len(row)):
        largest = max(largest, row[channel])
    if largest >= 0.25:
        for channel in range(len(row)):
            row[channel] = -math.log1p(-row[channel]) if row[channel] < 1.0 else math.inf
        return
    for channel in range(len(row)):
        # 2 artanh(z), z = p / (2 - p) < 1/7: the first term left out is below 1e-11 of the sum
        z = row[channel] / (2.0 - row[channel])
        s = z * z
        row[channel] = 2.0 * z * (1.0 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s / 11)))))


@numba.njit(nogil=True, inline="always")
def _next_state(state):
    return state + np.uint64(0x9E3779B97F4A7C15)


@numba.njit(nogil=True, inline="always")
def _mixed(state):
    """SplitMix64's output function (Steele, Lea, Flood 2014)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True, inline="always")
def _exponential(state):
    """Return a standard exponential variate made of the upper 53 bits of the state's output."""
    return -math.log((np.float64(_mixed(state) >> np.uint64(11)) + 1.0) * 2.0**-53)


@numba.njit(cache=True, **COMPILED)
def _start(seed, first_channel, channels):
    """Return the random state and the first exponential budget of each channel of a block."""
    states = np.empty(channels, np.uint64)
    budgets = np.empty(channels)
    for channel in range(channels):
        state = _mixed(_mixed(np.uint64(seed)) + np.uint64(first_channel + channel + 1) * np.uint64(0xD1342543DE82EF95))
        states[channel] = _next_state(state)
        budgets[channel] = _exponential(states[channel])
    return states, budgets


@numba.njit(nogil=True, inline="always")
def _fibres(hazard, free, budget, state):
    """Let free fibres fire in a step in which at least one does; return how many did, the budget and the state."""
    fired = 0
    left = 1.0  # of the step
    while free > 0:
        rate = free * hazard
        if budget > rate * left:
            budget -= rate * left
            break
        left -= budget / rate
        free -= 1
        fired += 1
        state = _next_state(state)
        budget = _exponential(state)
    return fired, budget, state


@numba.njit(cache=True, **COMPILED)
def block_spikes(velocity, steps, seed, first_channel, fibres):
    """Return steps and channels of the spikes of one block of channels.

    Args:
        velocity: float64[channels, >= steps] of the membrane.
        steps: how many are simulated.
        seed: uint64, of the recording.
        first_channel: number of the block's first channel; with ``seed`` it decides the random numbers.
        fibres: of each channel.

    Returns:
        int64[E] steps, int64[E] channels, by channel.
    """
    channels = len(velocity)
    transmitter = _resting(channels)
    states, budgets = _start(seed, first_channel, channels)
    free = np.full(channels, fibres, np.int64)
    resting = np.zeros((channels, REFRACTORY_STEPS), np.int64)
    bushy = np.zeros((channels, 2))
    wait = np.zeros(channels, np.int64)
    # a bushy cell cannot fire sooner than 25 steps after its last spike
    spikes = np.empty((channels, steps // (REFRACTORY_STEPS + 1) + 2), np.int64)
    counts = np.zeros(channels, np.int64)
    hazard = np.empty((TILE, channels))
    for begin in range(0, steps, TILE):
        size = min(TILE, steps - begin)
        hair_cell(velocity[:, begin : begin + size], transmitter, hazard[:size])
        for step in range(size):
            _hazard(hazard[step])
        for channel in range(channels):
            free[channel], budgets[channel], states[channel], wait[channel], counts[channel] = _bushy_cell(
                hazard, size, begin, steps, channel, fibres, resting[channel], bushy[channel], spikes[channel],
                free[channel], budgets[channel], states[channel], wait[channel], counts[channel],
            )  # fmt: skip
    total = counts.sum()
    times, numbers = np.empty(total, np.int64), np.empty(total, np.int64)
    done = 0
    for channel in range(channels):
        times[done : done + counts[channel]] = spikes[channel, : counts[channel]]
        numbers[done : done + counts[channel]] = first_channel + channel
        done += counts[channel]
    return times, numbers


@numba.njit(**COMPILED)
def _resting(channels):
    state = np.empty((3, channels))
    release = RELEASE * PERMEABILITY_A / (PERMEABILITY_A + PERMEABILITY_B)
    cleft = POOL * REPLENISHMENT * release / (LOSS * release + REPLENISHMENT * (LOSS + REUPTAKE))
    state[0] = cleft * (LOSS + REUPTAKE) / release
    state[1] = cleft
    state[2] = cleft * REUPTAKE / REPROCESSING
    return state


@numba.njit(**COMPILED)
def _bushy_cell(hazard, size, begin, steps, channel, fibres, resting, bushy, spikes, free, budget, state, wait, count):
    """Advance fibres and bushy cell of one channel by a tile.

    ``resting[s]`` counts the fibres that fired in the last step congruent to s modulo the refractory period: they
    are free again when that step comes round. A threshold crossing in the last step of the recording is no spike,
    as in the reference, where the reset comes one step later.
    """
    decay_mem = math.exp(-1.0 / (TAU_MEM_MS * STEPS_PER_MS))
    decay_syn = math.exp(-1.0 / (TAU_SYN_MS * STEPS_PER_MS))
    weight = BUSHY_WEIGHT / fibres / OUTPUT_RATE_HZ
    current, voltage = bushy[0], bushy[1]
    slot = begin % REFRACTORY_STEPS
    for step in range(size):
        free += resting[slot]
        fired = 0
        needed = free * hazard[step, channel]
        if budget > needed:
            budget -= needed
        else:
            fired, budget, state = _fibres(hazard[step, channel], free, budget, state)
            free -= fired
        resting[slot] = fired
        slot = slot + 1 if slot + 1 < REFRACTORY_STEPS else 0
        current = current * decay_syn + fired
        if wait > 0:
            wait -= 1
            continue
        voltage = voltage * decay_mem + current * weight
        if voltage >= 1.0:
            if begin + step + 1 < steps:
                spikes[count] = begin + step
                count += 1
            voltage = 0.0
            wait = REFRACTORY_STEPS
    bushy[0], bushy[1] = current, voltage
    return free, budget, state, wait, count
