from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.assurance import (
    UNCERTIFIED,
    Assurance,
    assurance,
    assured,
    bias_factors,
    bias_told,
    changed_from,
)
from collector.verdicts.screening import NOT_ASSURED, Signal, signal, usable
from gateway.measurement import SECOND_NS, Status
from tests.collector.verdicts.certified import DAILY, PAIRS, QAL2, RATA, certificates, checks, point
from tests.effort import examples

HOUR_NS = 3600 * SECOND_NS
LINE = "line = { slope = 2.0, intercept = 1.0 }\nvalid_upto = 90.0\ndeviation = 1.0\npairs_number = 15\n"
SECOND = (
    QAL2.replace(f"pairs = {PAIRS}\n", LINE).replace("2026-04-01", "2026-06-01").replace("2026-03-02", "2026-05-02")
)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def hours(start: str, values: list[float], *, unit: str = "mg/m3", parameter: str = "SO2") -> Signal:
    time_ns = ns(start) + HOUR_NS * np.arange(len(values))
    return signal(
        parameter, unit, time_ns=time_ns, value=np.array(values), status=np.zeros(len(values), np.uint8),
        interval_ns=HOUR_NS,
    )  # fmt: skip


def one(found: Assurance, measured: Signal) -> Signal:
    return assured(found, {measured.parameter: measured})[measured.parameter]


def test_a_point_without_certificates_is_left_as_it_is() -> None:
    signals = {"SO2": hours("2026-04-01T00:00", [1.0])}
    assert assured(UNCERTIFIED, signals) is signals
    assert not UNCERTIFIED


def test_values_are_calibrated_from_local_midnight_on_and_what_was_measured_stays() -> None:
    found = one(point(QAL2, timezone="Asia/Shanghai"), hours("2026-03-31T15:00", [4.5, 4.5, 5.0]))
    assert found.value == pytest.approx([4.5, 23.0 * 4.5 - 48.8, 23.0 * 5.0 - 48.8])
    assert found.raw is not None
    assert found.raw.tolist() == [4.5, 4.5, 5.0]
    assert found.rows(slice(1, 2)).raw == pytest.approx([4.5])


def test_values_before_every_function_and_of_other_parameters_are_as_measured() -> None:
    for measured in (hours("2026-03-30T00:00", [4.5]), hours("2026-05-01T00:00", [4.5], parameter="CO")):
        assert one(point(QAL2), measured) is measured


def test_a_function_holds_until_the_next_and_past_its_day() -> None:
    found = point(SECOND, QAL2)
    assert one(found, hours("2026-05-31T23:00", [5.0, 5.0])).value == pytest.approx([66.2, 11.0])
    assert one(found, hours("2036-01-01T00:00", [5.0])).value == pytest.approx([11.0])


def test_of_two_functions_of_one_day_the_later_in_the_file_holds() -> None:
    found = point(QAL2, SECOND.replace("2026-06-01", "2026-04-01").replace("2026-05-02", "2026-03-02"))
    assert len(found.calibrations["SO2"]) == 1
    assert one(found, hours("2026-05-01T00:00", [5.0])).value == pytest.approx([11.0])


def test_a_function_in_another_unit_gives_values_in_their_own() -> None:
    grams = SECOND.replace('"mg/m3"', '"g/m3"')
    found = one(point(grams), hours("2026-07-01T00:00", [5000.0]))
    assert found.value == pytest.approx([11000.0]), "5 g/m3 become 11 g/m3"
    assert found.unit == "mg/m3"


def test_a_unit_without_a_way_leaves_values_alone() -> None:
    found = one(point(QAL2), hours("2026-05-01T00:00", [5.0], unit="m/s"))
    assert found.value.tolist() == [5.0]


def test_a_calibration_that_failed_is_not_used_and_said_so() -> None:
    few = QAL2.replace(str(PAIRS), str(PAIRS[:5]))
    found, notes = assurance([certificates(few)], "UTC")
    assert not found
    (note,) = notes
    assert "qal2[0] of SO2 is not applied: 5 pairs, 15 are needed" in note


CALIBRATED = DAILY + checks(("2026-04-01T06:10:00Z", 0.0, 251.0), ("2026-04-03T06:10:00Z", 0.0, 251.0))


def test_values_more_than_26_hours_after_a_calibration_are_not_assured() -> None:
    found = one(point(CALIBRATED), hours("2026-04-02T06:00", [1.0] * 26))
    out = np.flatnonzero(found.status == NOT_ASSURED)
    assert (out[0], out[-1]) == (2, 23), "from 08:00 on until the hour of the next calibration"
    assert usable(found.value, found.status).sum() == 4
    assert found.value.tolist() == [1.0] * 26


def test_a_status_of_the_instrument_is_not_covered_up() -> None:
    measured = hours("2026-04-02T10:00", [1.0])
    measured.status[0] = Status.FAULT
    assert one(point(CALIBRATED), measured) is measured


def test_nothing_is_said_of_the_time_before_the_first_calibration() -> None:
    measured = hours("2026-03-01T00:00", [1.0])
    assert one(point(CALIBRATED), measured) is measured


def test_a_seven_day_test_takes_no_hour_away() -> None:
    assert not point(CALIBRATED + 'test = "seven_day"\n')


def test_a_bias_factor_holds_from_its_day_on_for_mass() -> None:
    found = point(RATA, RATA.replace("2026-03-03", "2026-05-01") + "factor = 1.1\n")
    at = np.array([ns("2026-03-02T23:00"), ns("2026-03-03T00:00"), ns("2026-05-01T00:00")])
    assert bias_factors(found, "SO2", at).tolist() == [1.0, 1.024, 1.1]
    assert bias_factors(found, "NOx", at).tolist() == [1.0, 1.0, 1.0]
    assert bias_told(found, "SO2", int(at[0])) is None
    told = bias_told(found, "SO2", int(at[1]))
    assert told is not None
    assert (told["factor"], told["from"], told["rules"], told["verified"]) == (
        1.024, "2026-03-03T00:00:00Z", "40cfr75", True,
    )  # fmt: skip
    measured = hours("2026-06-01T00:00", [5.0])
    assert one(found, measured) is measured, "concentrations are not changed"


def test_an_audit_that_was_not_passed_gives_no_factor() -> None:
    far = RATA.replace("401.0", "4.0")
    found, notes = assurance([certificates(far)], "UTC")
    assert not found
    assert "not passed; no factor" in notes[0]


def test_what_certificates_change_begins_where_they_differ() -> None:
    assert changed_from(point(QAL2), point(QAL2)) is None
    assert changed_from(UNCERTIFIED, point(QAL2)) == ns("2026-04-01T00:00")
    assert changed_from(point(QAL2), point(QAL2, SECOND)) == ns("2026-06-01T00:00"), "not from the first on"
    assert changed_from(point(QAL2, RATA), point(QAL2)) == ns("2026-03-03T00:00")
    once = DAILY + checks(("2026-04-01T06:10:00Z", 0.0, 251.0))
    assert changed_from(point(once), point(CALIBRATED)) == ns("2026-04-02T08:00"), "when the first had expired"


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20), st.integers(0, 20))
def test_any_numbers_in_any_pieces_come_out_the_same(values: list[float], cut: int) -> None:
    found = point(QAL2 + CALIBRATED)
    whole = one(found, hours("2026-03-31T20:00", values))
    parts = [whole.rows(slice(0, cut)), whole.rows(slice(cut, None))]
    measured = hours("2026-03-31T20:00", values)
    for part, piece in ((parts[0], slice(0, cut)), (parts[1], slice(cut, None))):
        alone = one(found, measured.rows(piece))
        np.testing.assert_array_equal(alone.value, part.value)
        np.testing.assert_array_equal(alone.status, part.status)
    np.testing.assert_array_equal(whole.raw if whole.raw is not None else whole.value, np.array(values))
