"""Worked examples: a named calculation, what goes in, what must come out.

Files hold `[[case]] id, calculation, given, expect, within, source`. The names of calculations and
of the keys in `expect` are a contract with whoever writes cases; this module maps them to the
functions that judge in production, so that a passed case says something about a verdict. Rules:

- `given` goes in as keyword arguments, lists stand for arrays, the text "none" for no value;
- only the keys of `expect` are compared: numbers within `within`, everything else exactly;
- an exception and a calculation nobody wrote are failures.

Pure: rule packs are passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from collector.verdicts import (
    audit,
    corrections,
    noise,
    quality,
    rating,
    rounding,
    substitution,
    validated,
    validity,
    water,
)  # fmt: skip
from collector.verdicts.background import background_corrected
from collector.verdicts.concurrent import validities
from collector.verdicts.conformance_us import us_calculations
from collector.verdicts.limits import Clause, breaking, read_settings, resolve, rounded
from collector.verdicts.pack import RulePack
from collector.verdicts.windows import NIGHT
from gateway.document import Fault, Table, parse_document

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One worked example. within: largest difference of a number that still passes."""

    id: str
    calculation: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]
    within: float
    source: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; message says what is wrong, "" = passed."""

    case: Case
    message: str

    @property
    def passed(self) -> bool:
        """Whether everything that was expected came out."""
        return not self.message


@dataclass(frozen=True, slots=True)
class Calculation:
    """A function, and the key its one result goes by; None where it returns a record."""

    function: Callable[..., Any]
    key: str | None = None


def parse_cases(text: str, file: str) -> tuple[list[Case], list[Fault]]:
    """The cases of a TOML text that can be read, and all its faults."""
    document, faults = parse_document(text, file)
    cases = []
    with Table.root(document, faults) as root:
        for table in root.tables("case"):
            with table:
                known = len(faults)
                case = Case(
                    id=table.text("id") or "",
                    calculation=table.text("calculation") or "",
                    given=_plain(table.mapping("given", {})),
                    expect=_plain(table.mapping("expect")),
                    within=table.number("within", 0.0, low=0.0) or 0.0,
                    source=table.text("source", ""),
                )
                if len(faults) == known:
                    cases.append(case)
    return cases, faults


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    """A TOML value in which the text "none" is None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if value == "none" else value


def run(cases: Iterable[Case], known: Mapping[str, Calculation]) -> list[Outcome]:
    """Every case tried, in order."""
    return [Outcome(case, _try(case, known.get(case.calculation))) for case in cases]


def _try(case: Case, calculation: Calculation | None) -> str:
    """What is wrong with a case, "" for nothing."""
    if calculation is None:
        return f"{case.calculation}: not implemented"
    try:
        result = calculation.function(**case.given)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a calculation is this case's failure
        return f"{case.calculation}: {type(error).__name__}: {error}"
    record = _record(result) if calculation.key is None else {calculation.key: result}
    return "; ".join(filter(None, (_difference(key, record, want, case) for key, want in case.expect.items())))


def _record(result: object) -> Mapping[str, Any]:
    if is_dataclass(result) and not isinstance(result, type):
        return asdict(result)
    assert isinstance(result, Mapping), "a calculation without a key returns a record"
    return result


def _difference(key: str, record: Mapping[str, Any], want: object, case: Case) -> str:
    if key not in record:
        return f"{key} is not among the results ({', '.join(record)})"
    got = _result(record[key])
    return "" if _agree(got, want, case.within) else f"{key} is {got!r}, expected {want!r} within {case.within:g}"


def _result(value: Any) -> Any:  # noqa: ANN401 - whatever a calculation returns
    """A result in Python's own types, with None where there is no value."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_result(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _agree(got: object, want: object, within: float) -> bool:
    if isinstance(want, list):
        same = isinstance(got, list) and len(got) == len(want)
        return same and all(_agree(g, w, within) for g, w in zip(got, want, strict=True))  # type: ignore[call-overload]
    if isinstance(want, bool) or isinstance(got, bool):
        return got is want
    if isinstance(want, int) and isinstance(got, int):
        return got == want
    if isinstance(want, int | float) and isinstance(got, int | float):
        return got == want or abs(got - want) <= within
    return type(got) is type(want) and got == want


# --- the calculations ---------------------------------------------------------------------------------

# Ratings by the names that cases use: the pack whose numbers they take, and the function.
RATED: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "residual_correction": ("iso1996-2-2017", rating.residual_correction),
    "ta_laerm_night": ("ta-laerm-1998", rating.loudest_hour),
    "ta_laerm_day": ("ta-laerm-1998", rating.day_rating),
    "bs4142": ("bs4142-2014", rating.impact),
    "day_evening_night": ("2002-49-ec", rating.day_evening_night),
}


def calculations(packs: Mapping[str, RulePack], grades: Sequence[audit.GradeRule] = ()) -> dict[str, Calculation]:
    """Every calculation by the name that cases use; those of a standard take their numbers from its pack.

    grades: what the levels of cleaner production ask.
    """
    found = {
        "round_half_up": Calculation(rounding.round_half_up, "rounded"),
        "round_half_even": Calculation(rounding.round_half_even, "rounded"),
        "energy_average": Calculation(noise.energy_average, "leq_db"),
        "energy_sum": Calculation(noise.energy_sum, "level_db"),
        "sound_exposure_level": Calculation(noise.sound_exposure_level, "lae_db"),
        "percentile_level": Calculation(noise.percentile_level, "level_db"),
        "night_average": Calculation(noise.night_average, "ln_db"),
        "noise_period": Calculation(noise.noise_period, "period"),
        "standard_state": Calculation(corrections.standard_state, "concentration"),
        "dry_basis": Calculation(corrections.dry_basis, "concentration"),
        "ppm_to_mg_m3": Calculation(corrections.ppm_to_mg_m3, "mg_m3"),
        "reference_oxygen": Calculation(corrections.reference_oxygen, "concentration"),
        "stack_flow": Calculation(corrections.stack_flow),
        "mass_rate": Calculation(corrections.mass_rate, "kg_h"),
        "validated_average": Calculation(validated.validated_average, "validated"),
        "validated_day": Calculation(validated.validated_day),
        "qal2_regression": Calculation(quality.qal2_regression),
        "short_term_valid": Calculation(validity.short_term_valid, "valid"),
        "water_volume": Calculation(water.water_volume, "volume_m3"),
        "water_mass": Calculation(water.water_mass, "mass_kg"),
        "flow_weighted_mean": Calculation(water.flow_weighted_mean, "mean"),
        "median_ph": Calculation(water.median_ph, "ph"),
    }
    found |= {name: Calculation(function, key) for name, (function, key) in us_calculations(packs).items()}
    if pack := packs.get("gb12348-2008"):
        found["gb12348_boundary"] = Calculation(partial(_boundary, pack))
        found["gb12348_peak"] = Calculation(partial(_peak, pack))
        if pack.background:
            found["gb12348_background"] = Calculation(partial(background_corrected, rule=pack.background))
    if (pack := packs.get("en-14181-2014")) and pack.quality:
        found["qal3_drift"] = Calculation(partial(quality.qal3_drift, rule=pack.quality.cusum))
        found["qal3_precision"] = Calculation(partial(quality.qal3_precision, rule=pack.quality.cusum))
    for name, (id, function) in RATED.items():
        if (pack := packs.get(id)) and pack.rating:
            found[name] = Calculation(partial(function, pack))
    for name, id in (("ldn", "gb3096-2008"), ("lden", "2002-49-ec")):
        if (pack := packs.get(id)) and pack.rating:
            found[name] = Calculation(partial(_composite, pack), f"{name}_db")
    if (pack := packs.get("gb3096-2008")) and pack.rating:
        found["day_night_of_hours"] = Calculation(partial(_day_night, pack))
    if pack := packs.get("ultra-low-2015"):
        settings, _ = read_settings(pack.kind, [pack], {})
        rows = validities([pack], settings)
        minutes, hours = rows["1h"].minimum or 0, rows["24h"].minimum or 0
        found["gas_hour_valid"] = Calculation(
            lambda valid_minutes: validity.parts_valid(valid_minutes, minutes), "valid"
        )
        found["gas_day_valid"] = Calculation(lambda valid_hours: validity.parts_valid(valid_hours, hours), "valid")
    if (pack := packs.get("hj75-2017")) and pack.substitution:
        found["gas_mass_substitute_cn"] = Calculation(partial(substitution.substitute, pack.substitution))
    if grades:
        found["cleaner_production_grade"] = Calculation(partial(audit.cleaner_production_grade, grades))
    return found


def _composite(pack: RulePack, **levels_db: float) -> float:
    """Level of a day from the levels of its periods, `day_db` and so on."""
    return float(rating.composite(pack, {name.removesuffix("_db"): level for name, level in levels_db.items()}))


def _day_night(pack: RulePack, *, hourly_db: Sequence[float], night: Sequence[str] = NIGHT) -> dict[str, float]:
    """Day, night and day-night level of the 24 hours of a date. Source: GB 3096-2008; HJ 212-2017 NightData."""
    begin, end = night
    found = rating.day_evening_night(pack, hourly_db, {"night": (begin, end), "day": (end, begin)})
    return {"ld_db": found["day_db"], "ln_db": found["night_db"], "ldn_db": found["composite_db"]}


def _boundary(pack: RulePack, *, area_class: int, period: str, leq_db: float, indoor: bool = False) -> dict[str, Any]:
    """A boundary level against its limit. Source: GB 12348-2008 4.1.1, 4.1.5; HJ 706-2014 5.4."""
    clause = _clause(pack, f"{period}-level", {"area_class": area_class, "indoor": indoor})
    evaluated = float(rounded(clause, leq_db))
    return {"limit_db": clause.limit(), "evaluated_db": evaluated, "complies": not breaking(clause, leq_db)}


def _peak(pack: RulePack, *, area_class: int, kind: str, lmax_db: float, indoor: bool = False) -> dict[str, Any]:
    """A peak at night against its limit. Source: GB 12348-2008 4.1.2, 4.1.3."""
    clause = _clause(pack, "night-peak", {"area_class": area_class, "burst": kind, "indoor": indoor})
    return {"limit_db": clause.limit(), "complies": not breaking(clause, lmax_db)}


def _clause(pack: RulePack, id: str, settings: Settings) -> Clause:
    """A clause of a pack as it stands in its newest version; ValueError says which setting is wrong."""
    newest: date = max(force.from_date for force in pack.in_force)
    clauses, faults = resolve(pack, settings, newest)
    if faults:
        raise ValueError("; ".join(fault.message for fault in faults))
    found = [clause for clause in clauses if clause.id == id]
    if not found:
        raise ValueError(f"{pack.id} has no clause {id!r} for these settings")
    return found[0]
