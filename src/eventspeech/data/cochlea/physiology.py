"""Constants of hair cell, auditory nerve fibres and bushy cell for both sets of kernels; see :mod:`.nerve`."""

import math

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

DECAY_MEM = math.exp(-1.0 / (TAU_MEM_MS * STEPS_PER_MS))  # per step
DECAY_SYN = math.exp(-1.0 / (TAU_SYN_MS * STEPS_PER_MS))


def _resting() -> tuple[float, float, float]:
    """Transmitter in pool, cleft and reprocessing store of a hair cell at rest."""
    release = RELEASE * PERMEABILITY_A / (PERMEABILITY_A + PERMEABILITY_B)
    cleft = POOL * REPLENISHMENT * release / (LOSS * release + REPLENISHMENT * (LOSS + REUPTAKE))
    return cleft * (LOSS + REUPTAKE) / release, cleft, cleft * REUPTAKE / REPROCESSING


RESTING = _resting()


def most_spikes(channels: int, steps: int) -> int:
    """Return how many there may be: a bushy cell cannot fire sooner than 25 steps after its last spike."""
    return channels * (steps // (REFRACTORY_STEPS + 1) + 2)
