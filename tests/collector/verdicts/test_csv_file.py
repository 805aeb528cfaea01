"""Other people's files: dates of every order, units behind numbers, intervals that nobody writes down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.csv_file import Layout, read_csv
from collector.verdicts.csv_times import ORDERS, dated, instant, interval_ns, orders, plain
from collector.verdicts.screening import Signal
from gateway.document import Fault
from gateway.measurement import SECOND_NS
from tests.effort import examples

UNITS = {"LAeq": "dB(A)", "NOx": "mg/m3", "O2": "%", "temperature": "degC"}
DAYS = st.datetimes(datetime(1980, 1, 1), datetime(2080, 1, 1)).map(lambda t: t.replace(microsecond=0))
SHAPES = {"dmy": "%d-%m-%Y", "mdy": "%m/%d/%Y"}


def read(text: str, **layout: Any) -> tuple[list[Signal], list[Fault], list[str]]:
    told = {"parameter": "LAeq", "unit": lambda code: UNITS.get(code, ""), "known": UNITS.__contains__, **layout}
    return read_csv(text, "x.csv", Layout(**told))


def only(text: str, **layout: Any) -> Signal:
    signals, faults, _ = read(text, **layout)
    assert not faults, faults
    (signal,) = signals
    return signal


def fault(text: str, **layout: Any) -> Fault:
    signals, faults, _ = read(text, **layout)
    assert not signals
    return faults[0]


def starts(signal: Signal) -> list[str]:
    return [str(np.datetime64(t, "ns").astype("datetime64[s]")) for t in signal.time_ns.tolist()]


# --- dates -----------------------------------------------------------------------------------------


def test_one_row_proves_the_order_for_all() -> None:
    text = "time,value\n{} 23:59:00,1\n{} 00:00:00,1\n"
    wanted = ["2014-08-12T23:59:00", "2014-08-13T00:00:00"]
    assert starts(only(text.format("12-08-2014", "13-08-2014"))) == wanted
    assert starts(only(text.format("8/12/2014", "8/13/2014"))) == wanted
    assert starts(only(text.format("12.8.2014", "13.8.2014"))) == wanted


def test_an_order_that_nothing_proves_is_asked_for() -> None:
    text = "time,value\n03-04-2026 08:00,1\n04-04-2026 08:00,1\n"
    asked = fault(text)
    assert (asked.line, asked.path) == (2, "time")
    assert "which number is the day" in asked.message
    assert "--dates dmy or --dates mdy" in asked.hint
    assert starts(only(text, dates="dmy")) == ["2026-04-03T08:00:00", "2026-04-04T08:00:00"]
    assert starts(only(text, dates="mdy")) == ["2026-03-04T08:00:00", "2026-04-04T08:00:00"]


def test_an_order_that_makes_no_difference_is_not_asked_for() -> None:
    assert starts(only("time,value\n5/5/2026 08:00,1\n6/6/2026 08:00,1\n"))[0] == "2026-05-05T08:00:00"


def test_a_file_of_both_orders_is_refused() -> None:
    assert "dates of both orders" in fault("time,value\n13-04-2026,1\n04-13-2026,1\n").message


def test_a_date_against_the_order_that_was_said_is_told() -> None:
    found = fault("time,value\n8/19/2014,1\n", dates="dmy")
    assert found.message == "'8/19/2014' is not a time"
    assert "in the order of --dates dmy" in found.hint


def test_day_and_time_in_two_columns() -> None:
    text = '"Date";"Time";"LAeq"\n"19-08-2014";"1:32:51 PM ";"35,93"\n"19-08-2014";"1:33:51 PM";"34,2"\n'
    found = only(text)
    assert starts(found) == ["2014-08-19T13:32:51", "2014-08-19T13:33:51"]
    assert (found.value.tolist(), found.intervals_ns) == ([35.93, 34.2], (60 * SECOND_NS,))
    renamed = text.replace("Date", "day").replace("Time", "clock")
    assert starts(only(renamed, columns={"date": "day", "time": "clock", "LAeq": "LAeq"})) == starts(found)


def test_a_date_beside_a_whole_time_is_not_read() -> None:
    assert starts(only("date,time,value\nMonday,2026-01-01T00:00:00Z,1\n")) == ["2026-01-01T00:00:00"]


def test_a_time_of_day_alone_is_told() -> None:
    assert "--columns date=HEADER" in fault("time,value\n08:00,1\n").hint


@pytest.mark.parametrize("text", ["13:00 PM", "0:30 AM", "8h"])
def test_hours_that_no_clock_shows_are_told(text: str) -> None:
    assert "is not a time" in fault(f"time,value\n2026-01-01 {text},1\n").message


@pytest.mark.parametrize(
    ("written", "read"), [("12:00 AM", "00:00"), ("12:00 P.M.", "12:00"), ("1:05:09 pm", "13:05:09"), ("7:00", "07:00")]
)
def test_hours_of_half_a_day(written: str, read: str) -> None:
    assert plain(f"2026/1/2 {written}") == f"2026-01-02T{read}"


def test_a_start_says_its_year_first() -> None:
    assert instant("2026/1/2 8:00", "UTC") == instant("2026-01-02T08:00:00Z", "UTC")
    with pytest.raises(ValueError, match="which number is the day"):
        instant("13-01-2026 8:00", "UTC")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(DAYS, min_size=1, max_size=5), st.sampled_from(ORDERS), st.booleans())
def test_a_file_is_read_in_its_own_order_or_asks(times: list[datetime], order: str, apart: bool) -> None:
    """Never another instant than the one that was written: the right one, or a question."""
    lines = [f"{t.strftime(SHAPES[order])}{';' if apart else ' '}{t.time()};1" for t in times]
    text = "\n".join(["Date;Time;value" if apart else "time;value", *lines])
    written = sorted({round(t.replace(tzinfo=UTC).timestamp()) * SECOND_NS for t in times})
    signals, faults, _ = read(text)
    if faults:
        assert all(t.day <= 12 for t in times)
        assert "--dates" in faults[0].hint
        signals = [only(text, dates=order)]
    assert signals[0].time_ns.tolist() == written


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.text("0123456789-/.: APM", max_size=22), max_size=4))
def test_any_text_is_a_time_or_a_fault(texts: list[str]) -> None:
    read("\n".join(["time;value", *(f"{text};1" for text in texts)]))
    assert set(orders(texts)) <= set(ORDERS)
    assert all(dated(text) in (True, False) for text in texts)


# --- intervals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval_ms", [10, 62.5, 125, 250, 1000, 2000, 60_000])
def test_the_interval_is_found_though_meters_cut_their_times(interval_ms: float) -> None:
    begin = datetime(2014, 8, 19, 1, 33, 15)
    times = [begin + timedelta(milliseconds=n * interval_ms) for n in range(49)]
    rows = [f"{t:%Y-%m-%d %H:%M:%S}.{t.microsecond // 10_000:02},50" for t in times]
    (found,) = only("\n".join(["time,value", *rows])).intervals_ns
    assert found == pytest.approx(interval_ms * 1e6, rel=0.005)
    assert interval_ms == 62.5 or found == interval_ms * 1e6


def test_a_gap_does_not_stretch_the_interval() -> None:
    quarters = np.array([0, 1, 2, 3, 400, 401], np.int64) * SECOND_NS // 4
    assert interval_ns(quarters) == SECOND_NS // 4
    assert interval_ns(quarters[:1]) == 60 * SECOND_NS


@pytest.mark.parametrize("wander_ms", [1, 10, 200])
def test_of_times_that_wander_the_interval_is_of_whole_seconds(wander_ms: int) -> None:
    steps = np.random.default_rng(1).integers(-wander_ms, wander_ms + 1, 5000) * 1_000_000
    assert interval_ns(np.arange(5000) * 5 * SECOND_NS + steps) == 5 * SECOND_NS
    steady = np.arange(5000) * (5 * SECOND_NS + 30_000_000)
    assert interval_ns(steady) == 5 * SECOND_NS + 30_000_000
    steady[1000:] += 7 * SECOND_NS
    assert interval_ns(steady) == 5 * SECOND_NS + 30_000_000


# --- cells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "cell", "value"),
    [
        ("LAeq", "35.4 dB", 35.4), ("LAeq", "35.4 dB(A)", 35.4), ("LAeq", "35.4dBA", 35.4), ("LAeq", "-3 DB", -3.0),
        ("NOx", "1.2e2 mg/m³", 120.0), ("O2", "8.5 %", 8.5), ("temperature", "120 °C", 120.0),
        ("temperature", "9 ℃", 9.0),
    ],
)  # fmt: skip
def test_a_number_may_have_its_unit_behind_it(parameter: str, cell: str, value: float) -> None:
    text = f"time;{parameter}\n2026-01-01T00:00:00Z;{cell}\n2026-01-01T00:01:00Z;{cell.replace('.', ',')}\n"
    assert only(text).value.tolist() == [value, value]


@pytest.mark.parametrize(
    ("parameter", "cell"), [("NOx", "35 ug/m3"), ("LAeq", "35.4 %"), ("LAeq", "3 5 dB"), ("gust", "3 m/s")]
)
def test_another_unit_is_a_fault(parameter: str, cell: str) -> None:
    found = fault(f"time,{parameter}\n2026-01-01T00:00:00Z,{cell}\n", columns={parameter: parameter})
    assert found.message == f"{cell!r} is not a number"


def test_a_number_that_cannot_be_does_not_refuse_the_file() -> None:
    found = only("time,value\n2026-01-01T00:00:00Z,inf\n2026-01-01T00:01:00Z,1e400\n2026-01-01T00:02:00Z,1\n")
    assert found.value.tolist() == [float("inf"), float("inf"), 1.0]


def test_a_wide_file_is_found_below_what_stands_before_it() -> None:
    text = "Meter;42\nSerial;a,b,c,d,e\n\nDate;Time;LAeq\n2014-08-19;01:32;35,9 dB\n2014-08-19;01:33;35,9 dB\n"
    assert only(text).value.tolist() == [35.9, 35.9]


def test_every_row_says_of_which_parameter_it_is() -> None:
    text = "time,parameter,value\n2026-01-01T00:00:00Z,NOx,1\n2026-01-01T00:00:00Z, ,2\n"
    found = fault(text, parameter="")
    assert (found.line, found.path, found.message) == (3, "parameter", "empty")
    signals, faults, _ = read(text, parameter="O2")
    assert not faults
    assert {s.parameter: s.value.tolist() for s in signals} == {"NOx": [1.0], "O2": [2.0]}, "or the caller does"
