"""From membrane velocity to spikes: hair cell, auditory nerve fibres and bushy cell, fused step by step.

Hair cell: Meddis, JASA 79(3), 702 (1986) and 83(3), 1056 (1988). Fibres: each fires in a step with the hair cell's
probability and then rests for 1 ms. Bushy cell: leaky integrate-and-fire neuron with a current synapse, Cramer et
al. 2020. All at 24 kHz.

A channel's fibres are exchangeable and share the synaptic time constant, so only how many fire in a step matters:
that is binomial in the number of fibres that are not at rest, drawn by inversion from one random number. It has the
distribution of independent Bernoulli trials (its probabilities are computed in single precision, to about 1e-6).

All loops over channels work on rows with adjacent channels, which the compiler turns into vector instructions.
This is the readable reference of the C kernels (``kernels.c``), which give the same spikes, bit by bit.
"""

from typing import Any

import numba
import numpy as np

from eventspeech.compiled import njit
from eventspeech.data.cochlea import physiology
from eventspeech.data.cochlea.membrane import OUTPUT_RATE_HZ
from eventspeech.data.cochlea.physiology import (
    BUSHY_WEIGHT,
    DECAY_MEM,
    DECAY_SYN,
    FIRING,
    LOSS,
    PERMEABILITY_A,
    PERMEABILITY_B,
    POOL,
    REFRACTORY_STEPS,
    RELEASE,
    REPLENISHMENT,
    REPROCESSING,
    RESTING,
    REUPTAKE,
)

COMPILED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
"""numpy's division does not raise, which together with no NaN lets the compiler compute several channels at once.
Nothing else is allowed that rounds differently from machine to machine, such as fused operations."""

TILE = 64
"""Steps of velocity turned to rows at once."""

LARGEST_P = np.float32(0.125)
F2, F3, F4, F5, F6, F7 = (np.float32(1 / n) for n in (2, 3, 4, 5, 6, 7))
F24, F120 = np.float32(1 / 24), np.float32(1 / 120)


@njit(**COMPILED)
def hair_cell(velocity):
    """Return each fibre's probability of firing in each step, float64[channels, steps], from the velocity (same)."""
    channels, steps = velocity.shape
    pools, clefts, stores = _rest(channels)
    probability = np.empty((channels, steps))
    row = np.empty(channels)
    for step in range(steps):
        for channel in range(channels):
            row[channel] = velocity[channel, step]
        _release(row, pools, clefts, stores)
        for channel in range(channels):
            probability[channel, step] = row[channel]
    return probability


@numba.njit(**COMPILED)
def _rest(channels):
    """Return transmitter in pool, cleft and reprocessing store at rest, each float64[channels]."""
    return np.full(channels, RESTING[0]), np.full(channels, RESTING[1]), np.full(channels, RESTING[2])


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
def _mixed(z):
    """SplitMix64's output function (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(**COMPILED)
def _seeded(seed, first_channel, channels):
    """Return the state of each channel's generator, uint32[4, channels], from the recording's seed."""
    state = np.empty((4, channels), np.uint32)
    for channel in range(channels):
        stream = _mixed(np.uint64(seed)) + np.uint64(first_channel + channel + 1) * np.uint64(0xD1342543DE82EF95)
        first, second = _mixed(stream), _mixed(stream + np.uint64(0x9E3779B97F4A7C15))
        state[0, channel] = np.uint32(first & np.uint64(0xFFFFFFFF))
        state[1, channel] = np.uint32(first >> np.uint64(32))
        state[2, channel] = np.uint32(second & np.uint64(0xFFFFFFFF))
        state[3, channel] = np.uint32(1)
    uniform = np.empty(channels, np.float32)
    for _ in range(12):
        _draw(state[0], state[1], state[2], state[3], uniform)
    return state


@numba.njit(**COMPILED)
def _draw(a, b, c, counter, uniform):
    """Fill ``uniform`` with numbers in [0, 1) by Doty-Humphrey's generator sfc32, one for each channel."""
    for channel in range(len(uniform)):
        drawn = np.uint32(a[channel] + b[channel] + counter[channel])
        old_b, old_c = b[channel], c[channel]
        counter[channel] = np.uint32(counter[channel] + np.uint32(1))
        a[channel] = np.uint32(old_b ^ (old_b >> np.uint32(9)))
        b[channel] = np.uint32(old_c + np.uint32(old_c << np.uint32(3)))
        rotated = np.uint32(np.uint32(old_c << np.uint32(21)) | (old_c >> np.uint32(11)))
        c[channel] = np.uint32(rotated + drawn)
        uniform[channel] = np.float32(np.int32(drawn >> np.uint32(8))) * np.float32(2.0**-24)


@numba.njit(**COMPILED)
def _fire(probability, free, uniform, fired):
    """Fill ``fired`` with binomial numbers of at most three; return whether some channel needs :func:`_fire_many`.

    Those channels get -1: more than three fibres fire, or the probability is too large for the series.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    unusual = np.int32(0)
    for channel in range(len(fired)):
        p, n, u = probability[channel], free[channel], uniform[channel]
        hazard = p * (one + p * (F2 + p * (F3 + p * (F4 + p * (F5 + p * (F6 + p * F7))))))  # -log(1 - p)
        x = n * hazard * F4
        none = one - x * (one - x * (F2 - x * (F6 - x * (F24 - x * F120))))  # exp(-x)
        none *= none
        none *= none
        odds = p / (one - p)
        exactly1 = none * n * odds
        exactly2 = exactly1 * (n - one) * odds * F2
        exactly3 = exactly2 * (n - one - one) * odds * F3
        below2 = none + exactly1
        below3 = below2 + exactly2
        count = (one if u >= none else zero) + (one if u >= below2 else zero) + (one if u >= below3 else zero)
        usual = one if u < below3 + exactly3 and p < LARGEST_P and x < F4 else zero
        fired[channel] = count if usual > zero else -one
        unusual = np.int32(unusual | np.int32(usual == zero))
    return unusual > 0


@numba.njit(**COMPILED)
def _fire_many(p, n, u):
    """Return a binomial number by inversion: the smallest whose distribution function exceeds ``u``."""
    if p >= 1.0:
        return n
    term = 1.0
    for _ in range(n):  # not exp(n log(1 - p)), which rounds as the machine's library does
        term *= 1.0 - p
    total = term
    count = 0
    while u >= total and count < n:
        term *= (n - count) / (count + 1.0) * p / (1.0 - p)
        total += term
        count += 1
    return count


@numba.njit(**COMPILED)
def _bushy_cells(fired, current, voltage, wait, weight):
    """Advance the bushy cells by a step and return how many cross the threshold."""
    crossing = 0
    for channel in range(len(fired)):
        now = current[channel] * DECAY_SYN + fired[channel]
        current[channel] = now
        advanced = voltage[channel] * DECAY_MEM + now * weight
        advanced = 0.0 if wait[channel] > 0.0 else advanced
        voltage[channel] = advanced
        wait[channel] = max(wait[channel] - 1.0, 0.0)
        crossing += 1 if advanced >= 1.0 else 0
    return crossing


@njit(**COMPILED)
def block_spikes(velocity, steps, seed, first_channel, fibres):
    """Return steps and channels of the spikes of one block of channels.

    Args:
        velocity: float64[channels, >= steps] of the membrane.
        steps: how many are simulated.
        seed: uint64, of the recording.
        first_channel: number of the block's first channel; with ``seed`` it decides the random numbers.
        fibres: of each channel.

    Returns:
        int64[E] steps, int64[E] channels, by step.
    """
    channels = len(velocity)
    pools, clefts, stores = _rest(channels)
    state = _seeded(seed, first_channel, channels)
    probability, uniform = np.empty(channels, np.float32), np.empty(channels, np.float32)
    free = np.full(channels, np.float32(fibres))
    resting = np.zeros((REFRACTORY_STEPS, channels), np.float32)
    current, voltage, wait = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    weight = BUSHY_WEIGHT / fibres / OUTPUT_RATE_HZ
    spikes = np.empty((most_spikes(channels, steps), 2), np.int64)
    count = 0
    tile = np.empty((TILE, channels))
    for step in range(steps):
        if step % TILE == 0:
            _transpose(velocity[:, step : step + TILE], tile)
        row = tile[step % TILE]
        _release(row, pools, clefts, stores)
        _copy(row, probability)
        _draw(state[0], state[1], state[2], state[3], uniform)
        # the fibres that fired in the last step congruent to this one are free again
        fired = resting[step % REFRACTORY_STEPS]
        _add(free, fired)
        if _fire(probability, free, uniform, fired):
            for channel in range(channels):
                if fired[channel] < 0:
                    fired[channel] = _fire_many(
                        float(probability[channel]), int(free[channel]), float(uniform[channel])
                    )
        _subtract(free, fired)
        if _bushy_cells(fired, current, voltage, wait, weight) > 0:
            for channel in range(channels):
                # a crossing in the last step is no spike: in the reference the reset, a step later, makes it one
                if voltage[channel] >= 1.0 and step + 1 < steps:
                    spikes[count, 0], spikes[count, 1] = step, first_channel + channel
                    voltage[channel] = 0.0
                    wait[channel] = REFRACTORY_STEPS
                    count += 1
    return spikes[:count, 0].copy(), spikes[:count, 1].copy()


most_spikes = numba.njit(**COMPILED)(physiology.most_spikes)


@numba.njit(**COMPILED)
def _transpose(columns, tile):
    for channel in range(len(columns)):
        for step in range(columns.shape[1]):
            tile[step, channel] = columns[channel, step]


@numba.njit(**COMPILED)
def _copy(source, target):
    for channel in range(len(source)):
        target[channel] = source[channel]


@numba.njit(**COMPILED)
def _add(total, terms):
    for channel in range(len(total)):
        total[channel] += terms[channel]


@numba.njit(**COMPILED)
def _subtract(total, terms):
    for channel in range(len(total)):
        total[channel] -= terms[channel]
