"""Which law judges a window: the one in force when it starts, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.judged import by_law
from collector.verdicts.judgement import derive
from collector.verdicts.long import derive_long
from collector.verdicts.pack import ClauseText
from collector.verdicts.windows import KINDS
from tests.collector.verdicts.test_averages import DAY_NS, HOUR_NS, MIDNIGHT, NOISE, WATER, series
from tests.collector.verdicts.test_long import START, by_days, clause, rules
from tests.effort import examples


def between(id: str, first: date | None, last: date | None, kind: str = "month") -> ClauseText:
    """A clause that is in force on some days only, and that every level breaks."""
    text = clause("LAeq", kind, 40.0, unit="dB(A)")
    return replace(text, id=id, rows=(replace(text.rows[0], from_date=first, to_date=last),))


def test_a_law_that_comes_and_goes_within_a_month_judges_no_month() -> None:
    ten = date(2026, 4, 11), date(2026, 4, 20)
    texts = (between("ever", None, None), between("ten-days", *ten), between("since", ten[0], None))
    law = rules("noise", "gb12348-2008", {"area_class": 2}, *texts)
    wanted = {"month": law.windows("month", START + 30 * DAY_NS, START + 60 * DAY_NS)}  # April and May
    april_ns, may_ns = wanted["month"].from_ns.tolist()
    levels = series("LAeq", np.full(61 * 24, 55.0), step_s=3600, start=april_ns)
    found = derive_long(law, by_days(law, {"LAeq": levels}), wanted).exceedances
    assert {(e.clause, e.from_ns) for e in found} == {("ever", april_ns), ("ever", may_ns), ("since", may_ns)}


@settings(max_examples=examples(60))
@given(
    kind=st.sampled_from(KINDS), start=st.integers(0, 100 * 24), hours=st.integers(0, 70 * 24),
    spans=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 40)), max_size=4),
)  # fmt: skip
def test_every_window_has_the_law_of_the_date_it_starts_on(
    kind: str, start: int, hours: int, spans: list[tuple[int, int]]
) -> None:
    new_year = date(2026, 1, 1)
    days = [(new_year + timedelta(first), new_year + timedelta(first + length)) for first, length in spans]
    texts = (between(f"span-{n}", *span, kind="1h") for n, span in enumerate(days))
    law = rules("noise", "gb12348-2008", {"area_class": 2}, *texts)
    from_ns = START + (start - 60 * 24) * HOUR_NS
    windows = law.windows(kind, from_ns, from_ns + hours * HOUR_NS)
    found = list(by_law(law, windows))
    assert [row for rows, _ in found for row in range(rows.start, rows.stop)] == list(range(len(windows)))
    for rows, clauses in found:
        for from_ns in windows.from_ns[rows].tolist():
            assert tuple(clauses) == law.on(from_ns)


def test_windows_that_a_point_does_not_have_come_to_nothing() -> None:
    """Nights are wanted of all points of a site, and at an outfall there are none."""
    assert len(WATER.windows("night", MIDNIGHT, MIDNIGHT + DAY_NS)) == 0
    wanted = {"night": NOISE.windows("night", MIDNIGHT + 22 * HOUR_NS, MIDNIGHT + 23 * HOUR_NS)}
    ph = {"pH": series("pH", np.full(1440, 3.0), start=MIDNIGHT + 20 * HOUR_NS)}
    found = derive(WATER, ph, wanted)
    assert (found.averages, found.exceedances) == ([], [])
