"""Rating levels: what a noise standard compares instead of the level that was measured.

Rules of this file:

- the numbers (supplements, hours, deductions, thresholds) are those of a rule pack's `[rating]`;
- a supplement is added before levels are averaged, so that an hour of tones weighs as such;
- NaN is a value that is not there: it takes no part, and where nothing is left the result is NaN. A
  supplement that the pack does not know (negative, above its largest step) is one, never a guess;
- nothing is rounded here: that is done once, where a clause says so;
- ValueError is for callers only: a setting that does not exist, a list of hours of the wrong length, a pack without
  the table that is asked for.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.noise import energy_average
from collector.verdicts.pack import RulePack, clock_s, span_h
from collector.verdicts.rating_text import RatingText
from gateway.measurement import Float64

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpecificSound:
    """A source without the residual sound around it; shapes as numpy broadcasts the levels.

    correctable: whether the total lies far enough above the residual.
    specific_db: level of the source alone, NaN where it cannot be told. upper_db: what it is at most, the total. [dB]
    """

    correctable: Booleans
    specific_db: Float64
    upper_db: Float64


def residual_correction(pack: RulePack, total_db: npt.ArrayLike, residual_db: npt.ArrayLike) -> SpecificSound:
    """Level of a source from the total sound and the residual sound, which is there without it. [dB]

    pack: with `[rating.residual]`. total_db, residual_db: levels over equal times, NaN = not known. [dB]
    Whatever lies further above the residual is corrected too: the text has no difference from which none is needed.
    Source: ISO 1996-2:2017, 10.4.
    """
    residual = _rating(pack).residual
    if residual is None:
        raise ValueError(f"{pack.id} has no [rating.residual]")
    total = _array(total_db)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Levels come with few decimals; 58.1 - 55.1 is 3 to whoever reads them, if not to a double.
        difference = np.round(total - _array(residual_db), 6)
        correctable = np.asarray((difference >= residual.least) & (difference > 0.0))
        # The same as the difference of the energies, without their range.
        specific = total + 10.0 * np.log10(1.0 - np.power(10.0, -0.1 * np.where(correctable, difference, np.nan)))
    return SpecificSound(correctable, np.asarray(specific), np.broadcast_to(total, difference.shape))


@dataclass(frozen=True, slots=True)
class RatingLevel:
    """A rating level. compared_db: less the deduction of a measurement that watches limits. [dB]

    hour: of the loudest hour, from 0; None where all hours are rated together, or none has a level.
    """

    rating_db: float
    compared_db: float
    hour: int | None = None


def loudest_hour(
    pack: RulePack,
    hourly_db: npt.ArrayLike,
    *,
    tonal_db: npt.ArrayLike = 0.0,
    impulsive_db: npt.ArrayLike = 0.0,
    weather_db: npt.ArrayLike = 0.0,
    surveillance: bool = False,
) -> RatingLevel:
    """Rating level of the loudest full hour of a night. [dB]

    pack: with the supplements "tonal" and "impulsive". hourly_db: LAeq of each full hour, shape (n,), NaN = not
    valid; where one is, the loudest of the others is given: what it exceeds is exceeded. [dB]
    tonal_db, impulsive_db: supplements of each hour, shape (n,) or one for all. [dB]
    weather_db: meteorological correction, taken off each hour. [dB] surveillance: whether the limits are watched.
    Source: TA Lärm 6.4 (the full hour with the highest rating level), A.1.4 equation (G2).
    """
    found = rated(pack, hourly_db, {"tonal": tonal_db, "impulsive": impulsive_db}, weather_db)
    if np.isnan(found).all():
        return RatingLevel(float("nan"), float("nan"))
    hour = int(np.nanargmax(found))
    level = float(found[hour])
    return RatingLevel(level, _compared(pack, level, surveillance=surveillance), hour)


def day_rating(
    pack: RulePack,
    hourly_db: npt.ArrayLike,
    *,
    settings: Mapping[str, Any],
    rest_day: bool = False,
    tonal_db: npt.ArrayLike = 0.0,
    impulsive_db: npt.ArrayLike = 0.0,
    weather_db: npt.ArrayLike = 0.0,
    surveillance: bool = False,
    hours: Sequence[str] | None = None,
) -> RatingLevel:
    """Rating level of a day, its sensitive hours with their supplement. [dB]

    pack: with the period "day". hourly_db: LAeq of each hour from the day's begin, shape (16,) in most places;
    NaN = not valid: such an hour counts as the mean of the others does. An hour in which the plant stood still is a
    level all the same: what little there is, or -inf. [dB]
    settings: of the point, those that sensitive hours ask for. rest_day: a Sunday or a public holiday.
    hours: begin and end of the day, local clock, where they are not those of the pack. Others as in loudest_hour.
    Source: TA Lärm 6.4 (16 hours), 6.5 (sensitive hours), A.1.4 equation (G2).
    """
    period = _rating(pack).period("day")
    begin, end = hours or (period.begin, period.end)
    levels = _hourly(hourly_db, int(span_h(begin, end)))
    clock = (clock_s(begin) + 3600 * np.arange(len(levels))) % 86_400
    sensitive = sensitive_supplement(pack, clock, settings=settings, rest_day=rest_day)
    supplements = {"tonal": tonal_db, "impulsive": impulsive_db}
    level = energy_average(rated(pack, levels, supplements, weather_db) + sensitive)
    return RatingLevel(level, _compared(pack, level, surveillance=surveillance))


def rated(
    pack: RulePack, hourly_db: npt.ArrayLike, supplements: Mapping[str, npt.ArrayLike], weather_db: npt.ArrayLike = 0.0
) -> Float64:
    """Level of each hour with its supplements, shape (n,). [dB]

    pack: with the supplements of these names. hourly_db: shape (n,). supplements, weather_db: of each hour, shape (n,)
    or one for all; a supplement that the pack does not know leaves no level. [dB]
    Source: TA Lärm A.1.4 equation (G2), one hour of it.
    """
    text = _rating(pack)
    with np.errstate(invalid="ignore", over="ignore"):
        added = sum((_supplement(text, name, value) for name, value in supplements.items()), -_array(weather_db))
        return np.asarray(np.atleast_1d(_array(hourly_db)) + added)


def sensitive_supplement(
    pack: RulePack, clock: npt.ArrayLike, *, settings: Mapping[str, Any], rest_day: npt.ArrayLike = False
) -> Float64:
    """What levels count more for the hour they fall in, shape as `clock`; 0 in all other hours. [dB]

    pack: with `[[rating.sensitive]]`. clock: seconds since local midnight. [s]
    settings: of the point. rest_day: Sundays and public holidays, as booleans of the shape of `clock` or one for all.
    ValueError where a setting that decides is missing, or is none of its choices.
    Source: TA Lärm 6.5.
    """
    at, rest = _array(clock), np.asarray(rest_day, np.bool_)
    found = np.zeros(at.shape)
    for row in _rating(pack).sensitive:
        if pack.settings[row.setting].read(settings.get(row.setting)) not in row.choices:
            continue
        inside = np.zeros(at.shape, np.bool_)
        for begin, end in row.spans:
            inside |= _within(at, begin, end)
        found = np.maximum(found, np.where(inside & (rest == row.rest_day), row.add, 0.0))
    return found


def impulse_supplement(taktmaximal_db: npt.ArrayLike, level_db: npt.ArrayLike) -> Float64:
    """Supplement for impulses as it is measured: by how much LAFTeq lies above LAeq, and not below 0. [dB]

    taktmaximal_db: LAFTeq, mean of the highest levels of 5 s each. level_db: LAeq of the same time. [dB]
    Source: TA Lärm A.3.3.6.
    >>> float(impulse_supplement(52.5, 48.0))
    4.5
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return np.maximum(_array(taktmaximal_db) - _array(level_db), 0.0)


@dataclass(frozen=True, slots=True)
class Impact:
    """A source held against its background; shapes as numpy broadcasts the levels. [dB]

    indication: what the pack says of such a difference, "" = nothing. It is no verdict: the text has it weighed in
    its context.
    """

    rating_db: Float64
    excess_db: Float64
    indication: npt.NDArray[np.str_]


def impact(
    pack: RulePack,
    specific_db: npt.ArrayLike,
    background_db: npt.ArrayLike,
    *,
    tonal_db: npt.ArrayLike = 0.0,
    impulsive_db: npt.ArrayLike = 0.0,
    intermittent: bool = False,
    other: bool = False,
) -> Impact:
    """Rating level of a source, and by how much it exceeds the background. [dB]

    pack: with the supplements "tonal", "impulsive", "intermittent" and "other", and `[[rating.indication]]`.
    specific_db: LAeq of the source alone over the reference interval. background_db: LA90. NaN = not known. [dB]
    tonal_db, impulsive_db: supplements. [dB] intermittent, other: whether those characters are there.
    Source: BS 4142:2014+A1:2019, 9 (rating level), 11 (assessment).
    """
    text = _rating(pack)
    flags = (name for name, there in (("intermittent", intermittent), ("other", other)) if there)
    added = sum(max(text.supplement(name).steps, default=0.0) for name in flags)
    character = _supplement(text, "tonal", tonal_db) + _supplement(text, "impulsive", impulsive_db) + added
    with np.errstate(invalid="ignore", over="ignore"):
        rating = _array(specific_db) + character
        excess = np.asarray(rating - _array(background_db))
        told = np.round(excess, 6)  # levels come with few decimals, as above
    names = np.array([*(row.name for row in text.indications), ""])
    which = [np.asarray(told >= row.least) for row in text.indications]
    index = np.argmax(np.stack([*which, np.ones(told.shape, np.bool_)]), axis=0)
    return Impact(np.asarray(rating), excess, np.asarray(names[index]))


def day_evening_night(
    pack: RulePack, hourly_db: npt.ArrayLike, hours: Mapping[str, Sequence[str]] | None = None
) -> dict[str, float]:
    """Levels of the periods of a day, and the level of the whole day in which some of them count more. [dB]

    pack: with `[[rating.period]]`. hourly_db: level of each hour from 0 o'clock, shape (24,), NaN = not valid. [dB]
    hours: begin and end of periods that are not those of the pack; together they are each hour of the day once.
    Returns {"day_db": .., "evening_db": .., "night_db": .., "composite_db": ..}, a key for each period of the pack;
    composite_db is NaN where a period has no level.
    Source: Directive 2002/49/EC Annex I 1 (Lden); GB 3096-2008 (Ldn).
    """
    levels = _hourly(hourly_db, 24)
    periods = _rating(pack).periods
    clock = _array(np.arange(24) * 3600)
    spans = [(hours or {}).get(period.name, (period.begin, period.end)) for period in periods]
    inside = np.array([_within(clock, begin, end) for begin, end in spans]).reshape(-1, 24)
    if not (inside.sum(axis=0) == 1).all():
        raise ValueError(f"the periods of {pack.id} are not each hour of the day once: {spans}")
    parts = [energy_average(levels[mine]) for mine in inside]
    found = {period.name: part for period, part in zip(periods, parts, strict=True)}
    hours_of = {period.name: float(count) for period, count in zip(periods, inside.sum(axis=1), strict=True)}
    whole = float(composite(pack, found, hours_of))
    return {**{f"{name}_db": part for name, part in found.items()}, "composite_db": whole}


def composite(
    pack: RulePack, levels_db: Mapping[str, npt.ArrayLike], hours: Mapping[str, float] | None = None
) -> Float64:
    """Level of a whole day of which some periods count more, from the levels of its periods. [dB]

    pack: with `[[rating.period]]`. levels_db: a level for each of its periods, shapes as numpy broadcasts them; where
    one is NaN, so is the result. hours: how long each lasts, None = as the pack says. [h]
    Source: Directive 2002/49/EC Annex I 1 (Lden); GB 3096-2008 (Ldn).
    """
    periods = _rating(pack).periods
    if not periods or {p.name for p in periods} != set(levels_db):
        raise ValueError(f"{pack.id} has the periods {[p.name for p in periods]}, not {list(levels_db)}")
    lasts = {p.name: span_h(p.begin, p.end) if hours is None else hours[p.name] for p in periods}
    added = np.stack(np.broadcast_arrays(*(_array(levels_db[p.name]) + p.add for p in periods)))
    weights = np.reshape([lasts[p.name] for p in periods], (-1, *[1] * (added.ndim - 1)))
    with np.errstate(over="ignore", divide="ignore"):  # levels that no meter shows, and silence
        return np.asarray(10.0 * np.log10(np.sum(weights * np.power(10.0, 0.1 * added), axis=0) / np.sum(weights)))


# The calculations that a pack's `[[rating.example]]` may name; each takes the pack first.
RATINGS: Mapping[str, Callable[..., Any]] = {
    "residual_correction": residual_correction,
    "loudest_hour": loudest_hour,
    "day_rating": day_rating,
    "impact": impact,
    "day_evening_night": day_evening_night,
}


def _rating(pack: RulePack) -> RatingText:
    if pack.rating is None:
        raise ValueError(f"{pack.id} has no [rating]")
    return pack.rating


def _supplement(text: RatingText, name: str, value: npt.ArrayLike) -> Float64:
    """A supplement as given, NaN where the pack cannot have it. [dB]"""
    steps, given = text.supplement(name).steps, _array(value)
    most = steps[-1] if steps else np.inf
    # Steps are what an ear gives; what is measured lies between them too.
    return np.where((given >= 0.0) & (given <= most), given, np.nan)


def _compared(pack: RulePack, level_db: float, *, surveillance: bool) -> float:
    """A rating level as it is held against a limit. [dB]"""
    deduction = _rating(pack).deduction
    return level_db - deduction.subtract if surveillance and deduction else level_db


def _hourly(hourly_db: npt.ArrayLike, hours: int) -> Float64:
    levels = _array(hourly_db)
    if levels.shape != (hours,):
        raise ValueError(f"{hours} hourly levels are needed, not {levels.size}")
    return levels


def _within(clock: Float64, begin: str, end: str) -> Booleans:
    """Which clock times lie in a span of the day that may go over midnight; equal ends are a whole day."""
    first, length = clock_s(begin), span_h(begin, end) * 3600.0
    with np.errstate(invalid="ignore"):
        return np.asarray((clock - first) % 86_400 < length)


def _array(value: npt.ArrayLike) -> Float64:
    return np.asarray(value, np.float64)
