"""Rounding as standards mean it: of the decimal number that is printed, not of its binary neighbour.

0.2465 to three places is 0.247 by "half up", though the nearest double lies below the half. So a
value is taken as the shortest decimal that names it (what `repr` prints) and rounded in decimals.
Only values that lie near a half need that; all others round in binary to the same.
Pure; arrays in, arrays out (a number comes back as an array of no dimension), NaN stays NaN.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64

# A double has at most 309 digits before the point; with this precision no value is refused.
_CONTEXT = Context(prec=400)
_NEAR = 1e-3  # of a half, in steps of the last place kept; what binary arithmetic loses below _LARGE is less
_LARGE = 2.0**40


def round_half_even(value: npt.ArrayLike, places: int = 0) -> Float64:
    """Round to `places` decimals, a half to the even digit. [as given]

    Source: GB/T 8170-2008, 3.2.
    >>> float(round_half_even(54.5)), float(round_half_even(55.5))
    (54.0, 56.0)
    """
    return _rounded(np.asarray(value, np.float64), places, ROUND_HALF_EVEN)


def round_half_up(value: npt.ArrayLike, places: int = 0) -> Float64:
    """Round to `places` decimals, a half away from zero. [as given]

    Source: DIN 1333, 4.5.1; the usual commercial rounding.
    >>> float(round_half_up(0.2465, 3))
    0.247
    """
    return _rounded(np.asarray(value, np.float64), places, ROUND_HALF_UP)


def _rounded(array: Float64, places: int, mode: str) -> Float64:
    value = array.ravel()
    factor = 10.0 ** abs(places)  # exact as far as 22 places
    with np.errstate(over="ignore", invalid="ignore"):
        steps = value * factor if places >= 0 else value / factor
        whole = np.rint(steps)
        result = whole / factor if places >= 0 else whole * factor
        near = ~((np.abs(steps) < _LARGE) & (np.abs(np.abs(steps - whole) - 0.5) > _NEAR))
    result = np.where(np.isfinite(value), result, value)
    near &= np.isfinite(value)
    result[near] = [_decimal(one, places, mode) for one in value[near].tolist()]
    return result.reshape(array.shape)


def _decimal(value: float, places: int, mode: str) -> float:
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), rounding=mode, context=_CONTEXT))
