"""Waste water: volumes, masses, flow-weighted means, and the median that stands for pH.

A concentration is weighted by the flow that carried it; pH, a logarithm, is never averaged but
represented by its median. NaN is a value that is not there: a pair with one takes no part, and
where nothing is left the result is NaN. Arrays in, arrays out; `*_by` functions work on many
windows at once. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64


def water_volume(flow_l_s: npt.ArrayLike, seconds: npt.ArrayLike) -> Float64:
    """Volume let out. [m3]

    flow_l_s: mean flow. [L/s] seconds: how long. [s]
    Source: HJ 212-2017 appendix D.
    >>> float(water_volume(17.5, 600.0))
    10.5
    """
    return np.asarray(_array(flow_l_s) * _array(seconds) / 1e3)


def water_mass(concentration_mg_l: npt.ArrayLike, flow_l_s: npt.ArrayLike, seconds: npt.ArrayLike) -> Float64:
    """Mass let out. [kg]

    concentration_mg_l: mean concentration. [mg/L] flow_l_s, seconds: as water_volume.
    Source: HJ 212-2017 appendix D.
    >>> round(float(water_mass(40.1, 17.5, 3600.0)), 4)
    2.5263
    """
    return np.asarray(_array(concentration_mg_l) * water_volume(flow_l_s, seconds) / 1e3)


def flow_weighted_mean(concentrations: npt.ArrayLike, flows: npt.ArrayLike) -> float:
    """Mean concentration of what was let out; NaN where nothing flowed. [as given]

    concentrations, flows: of equal intervals, shape (n,), NaN = invalid; a negative flow takes no part.
    Source: HJ 212-2017 appendix D.
    >>> flow_weighted_mean([40.0, 100.0], [30.0, 10.0])
    55.0
    """
    values = _array(concentrations)
    return float(flow_weighted_mean_by(values, flows, np.zeros(values.shape, np.intp), 1)[0])


def flow_weighted_mean_by(
    concentrations: npt.ArrayLike, flows: npt.ArrayLike, group: npt.NDArray[np.integer], groups: int
) -> Float64:
    """Flow-weighted mean of each group of equal intervals, shape (groups,). [as given]

    group: number of each pair's group, 0 to groups - 1, shape (n,); others as flow_weighted_mean.
    """
    values = _array(concentrations)
    weights = np.broadcast_to(_array(flows), values.shape)
    counted = ~np.isnan(values) & (weights > 0.0)
    mass = np.bincount(group[counted], values[counted] * weights[counted], groups)
    volume = np.bincount(group[counted], weights[counted], groups)
    return np.asarray(np.divide(mass, volume, out=np.full(groups, np.nan), where=volume > 0.0))


def median_ph(values: npt.ArrayLike) -> float:
    """The pH that stands for several, their median; NaN where none is valid. [pH]

    values: shape (n,), NaN = invalid.
    Source: practice under HJ/T 356-2007 (the median, never a mean).
    >>> round(median_ph([6.9, 7.2, 8.1, 7.0]), 2)
    7.1
    """
    array = _array(values)
    return float(median_by(array, np.zeros(array.shape, np.intp), 1)[0])


def median_by(values: npt.ArrayLike, group: npt.NDArray[np.integer], groups: int) -> Float64:
    """Median of each group, shape (groups,); NaN for a group without a value. [as given]

    values: shape (n,), NaN = invalid. group: number of each value's group, 0 to groups - 1, shape (n,).
    """
    array = _array(values)
    counted = ~np.isnan(array)
    array, member = array[counted], group[counted]
    order = np.lexsort((array, member))
    count = np.bincount(member, minlength=groups)
    first = np.concatenate(([0], np.cumsum(count)[:-1]))
    median = np.full(groups, np.nan)
    some = count > 0
    low, high = first + (count - 1) // 2, first + count // 2
    ranked = array[order]
    median[some] = (ranked[low[some]] + ranked[high[some]]) / 2.0
    return median


def _array(value: npt.ArrayLike) -> Float64:
    return np.asarray(value, np.float64)
