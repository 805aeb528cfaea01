"""How much of a window must be there before its average counts.

The numbers are data of rule packs (`[[validity]]`); this file only counts. A share is compared as
a ratio of whole numbers, so that 20 of 30 is two thirds exactly; a pack writes two thirds as "2/3", for
0.6667 is a little more. Arrays in, arrays out. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from collector.verdicts.us_rules import HourRule

Booleans = npt.NDArray[np.bool_]

# Where no pack speaks of a kind of window: our own choice, after the 45 of 60 minutes of HJ 75-2017. Unverified.
UNRULED_SHARE = 0.75
EN17255_SHARE = Fraction(2, 3)
_RATIO = re.compile(r"(\d{1,6}) ?/ ?(\d{1,6})")  # as many digits as share_valid keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """How much of a window must be there: a number of valid parts, or a share of those expected, or so many less.

    window: kind of window. part: what is counted, "value" (measurements) or the kind of the windows it is made of.
    minimum: number of valid parts. share: of those expected, 0 to 1. missing: how many of them may be invalid.
    operating: whether parts are expected of the operating time alone. quadrants: by which an hour is valid
    (`us_hours`); of the parts there needs to be one. Exactly one of minimum, share, missing and quadrants is given.
    """

    window: str
    part: str
    minimum: int | None
    share: float | Fraction | None
    cite: str
    verified: bool
    missing: int | None = None
    operating: bool = False
    quadrants: HourRule | None = None

    def enough(self, valid: npt.ArrayLike, expected: npt.ArrayLike) -> Booleans:
        """Whether `valid` parts of `expected` ones make the window valid; shapes as numpy broadcasts them."""
        if self.minimum is not None:
            return parts_valid(valid, self.minimum)
        if self.missing is not None:
            return parts_missing(valid, expected, self.missing)
        if self.quadrants is not None:
            return np.asarray(np.asarray(valid) > 0)
        assert self.share is not None, "a validity without minimum, missing or quadrants has a share"
        return share_valid(valid, expected, self.share)


def ratio(text: str) -> Fraction | None:
    """The share that a ratio of whole numbers means, None where it is none or not from 0 to 1.

    >>> ratio("2/3"), ratio("3/2"), ratio("1/0"), ratio("0.7")
    (Fraction(2, 3), None, None, None)
    """
    found = _RATIO.fullmatch(text.strip())
    part, whole = map(int, found.groups()) if found else (1, 0)
    return Fraction(part, whole) if part <= whole and whole else None


def parts_valid(valid: npt.ArrayLike, minimum: int) -> Booleans:
    """Whether at least `minimum` parts are valid.

    Source: HJ 75-2017 and HJ 212-2017 appendix D (45 minutes of an hour, 20 hours of a day), by a rule pack.
    >>> bool(parts_valid(44, 45)), bool(parts_valid(45, 45))
    (False, True)
    """
    return np.asarray(np.asarray(valid) >= minimum)


def parts_missing(valid: npt.ArrayLike, expected: npt.ArrayLike, most: int) -> Booleans:
    """Whether at most so many of the expected parts are not valid; never where none is.

    Source: 2010/75/EU Annex V Part 3 point 10, Annex VI Part 8 (invalid averages of a day), by a rule pack.
    >>> bool(parts_missing(9, 12, 3)), bool(parts_missing(8, 12, 3)), bool(parts_missing(0, 2, 3))
    (True, False, False)
    """
    there = np.asarray(valid, np.float64)
    return np.asarray((there > 0) & (np.asarray(expected, np.float64) - there <= most + 1e-9))


def share_valid(valid: npt.ArrayLike, expected: npt.ArrayLike, share: float | Fraction) -> Booleans:
    """Whether at least a share of the expected parts is valid; never where none is expected.

    share: 0 to 1; a float is taken as the simplest fraction near it.
    >>> bool(share_valid(20, 30, Fraction(2, 3))), bool(share_valid(19, 30, Fraction(2, 3)))
    (True, False)
    """
    ratio = Fraction(share).limit_denominator(1_000_000)
    there, wanted = np.asarray(valid), np.asarray(expected)
    return np.asarray((wanted > 0) & (there * ratio.denominator >= wanted * ratio.numerator))


def short_term_valid(valid: npt.ArrayLike, total: npt.ArrayLike) -> Booleans:
    """Whether a short-term average stands on enough of its time: two thirds.

    valid, total: valid and all parts of the interval in which the plant ran.
    Source: EN 17255-1.
    >>> bool(short_term_valid(20, 30))
    True
    """
    return share_valid(valid, total, EN17255_SHARE)
