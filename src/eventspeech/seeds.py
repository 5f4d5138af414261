"""Random numbers from named axes: the same name gives the same numbers on any machine, in any order."""

import hashlib

import numpy as np


def derive_seed(base: int, *axes: object) -> int:
    """Derive a 64-bit seed from a base seed and the names of the axes that may change the randomness.

    Two losses that must share initial weights and data order leave the loss out of ``axes``.

    >>> derive_seed(0, "shuffle", 3) == derive_seed(0, "shuffle", 3) != derive_seed(0, "shuffle", 4)
    True
    """
    text = "\x1f".join([str(base), *map(str, axes)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def generator(base: int, *axes: object) -> np.random.Generator:
    """Return a generator seeded by :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(base, *axes))
