"""Rounding as standards mean it: of the decimal number that is printed, not of its binary neighbour.

0.2465 to three places is 0.247 by "half up", though the nearest double lies below the half. So a
value is taken as the shortest decimal that names it (what `repr` prints) and rounded in decimals.
Pure; arrays in, arrays out (a number comes back as an array of no dimension), NaN stays NaN.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64

# A double has at most 309 digits before the point; with this precision no value is refused.
_CONTEXT = Context(prec=400)


def round_half_even(value: npt.ArrayLike, places: int = 0) -> Float64:
    """Round to `places` decimals, a half to the even digit. [as given]

    Source: GB/T 8170-2008, 3.2.
    >>> float(round_half_even(54.5)), float(round_half_even(55.5))
    (54.0, 56.0)
    """
    array = np.asarray(value, np.float64)
    # A half at no places is exact in binary, so the fast way gives the same.
    return np.asarray(np.rint(array)) if places == 0 else _rounded(array, places, ROUND_HALF_EVEN)


def round_half_up(value: npt.ArrayLike, places: int = 0) -> Float64:
    """Round to `places` decimals, a half away from zero. [as given]

    Source: DIN 1333, 4.5.1; the usual commercial rounding.
    >>> float(round_half_up(0.2465, 3))
    0.247
    """
    return _rounded(np.asarray(value, np.float64), places, ROUND_HALF_UP)


def _rounded(array: Float64, places: int, mode: str) -> Float64:
    step = Decimal(1).scaleb(-places)

    def one(value: float) -> float:
        if not math.isfinite(value):
            return value
        return float(Decimal(repr(value)).quantize(step, rounding=mode, context=_CONTEXT))

    return np.array([one(value) for value in array.ravel().tolist()], np.float64).reshape(array.shape)
