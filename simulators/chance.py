"""Chance without state: numbers that follow from a name and a counter alone.

A simulator that is asked for the same second twice, by two processes, must answer the same. So
chance is not drawn, it is looked up: a counter (the number of a second, a slot, a day) is put
through a hash keyed with a name. Counter-based generators are described by Salmon, Moraes, Dror and
Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, Int64

UInt64: TypeAlias = npt.NDArray[np.uint64]


@lru_cache(maxsize=1024)
def key(name: str) -> np.uint64:
    """The key of a name; names that differ have keys that have nothing to do with one another."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def mix(key: np.uint64, counter: Int64) -> UInt64:
    """A well-mixed 64-bit number for each counter, shape as `counter`.

    Source: finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    with np.errstate(over="ignore"):
        mixed = counter.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def uniform(key: np.uint64, counter: Int64) -> Float64:
    """At least 0, less than 1.

    >>> uniform(key("lorries"), np.array([7, 8, 7])).round(3).tolist()
    [0.073, 0.343, 0.073]
    """
    first = int(counter.min()) if len(counter) else 0
    span = int(counter.max()) - first + 1 if len(counter) else 0
    if 2 * span <= len(counter):
        # Many instants ask for the same slot or day: each is looked up once.
        return _uniform(key, np.arange(first, first + span))[counter - first]
    return _uniform(key, counter)


def _uniform(key: np.uint64, counter: Int64) -> Float64:
    return (mix(key, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(key: np.uint64, counter: Int64) -> Float64:
    """Nearly normal, mean 0, deviation 1, never beyond 3.5: the four 16-bit quarters of the hash, added and scaled."""
    quarters = np.ascontiguousarray(mix(key, counter)).view(np.uint16).reshape(len(counter), 4)
    total: Float64 = quarters.sum(axis=1, dtype=np.float64) * 2.0**-16
    centred: Float64 = (total - 2.0) * 3.0**0.5
    return centred


def drift(key: np.uint64, time_s: Float64, period_s: float) -> Float64:
    """Smooth in time, between -1 and 1, unrelated after about a period: hashed numbers joined by smoothsteps."""
    number = np.floor(time_s / period_s).astype(np.int64)
    share = time_s / period_s - number
    share = share * share * (3.0 - 2.0 * share)
    start = uniform(key, number) * 2.0 - 1.0
    end = uniform(key, number + 1) * 2.0 - 1.0
    joined: Float64 = start + (end - start) * share
    return joined
