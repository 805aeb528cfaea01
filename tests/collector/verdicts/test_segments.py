"""Runs of rows: sums, maxima, counts and ranks of windows, overlapping or in pieces, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import segments as module
from collector.verdicts.segments import Segments
from tests.effort import examples

ROWS = 12


@st.composite
def runs(draw: st.DrawFn) -> Segments:
    """One to three runs a window; where windows have one run each they may overlap."""
    pieces = draw(st.lists(st.integers(1, 3), max_size=5))
    m = sum(pieces)
    if draw(st.booleans()):
        pieces = [1] * m
        start = sorted(draw(st.lists(st.integers(0, ROWS), min_size=m, max_size=m)))
        stop = np.maximum(start, sorted(draw(st.lists(st.integers(0, ROWS), min_size=m, max_size=m))))
    else:
        edges = sorted(draw(st.lists(st.integers(0, ROWS), min_size=2 * m, max_size=2 * m)))
        start, stop = edges[::2], edges[1::2]
    window = np.repeat(np.arange(len(pieces)), pieces)
    return Segments(np.array(start, np.int64), np.array(stop, np.int64), window, len(pieces))


@settings(max_examples=examples(300), deadline=None)
@given(runs(), st.lists(st.floats(-1e6, 1e6), min_size=ROWS, max_size=ROWS), st.data(), st.integers(1, 30))
def test_windows_have_what_their_runs_have(
    found: Segments, values: list[float], data: st.DataObject, most: int
) -> None:
    column, codes = np.array(values), np.array(data.draw(st.lists(st.integers(0, 2), min_size=ROWS, max_size=ROWS)))
    rows = [
        [
            row
            for a, b, n in zip(found.start, found.stop, found.window, strict=True)
            if n == number
            for row in range(a, b)
        ]
        for number in range(found.windows)
    ]
    assert found.count().tolist() == [len(mine) for mine in rows]
    assert found.rows().tolist() == [row for mine in rows for row in mine]
    assert found.total(column) == pytest.approx([sum(values[row] for row in mine) for mine in rows], abs=1e-6)
    largest = [max((values[row] for row in mine), default=np.nan) for mine in rows]
    assert np.array_equal(found.largest(column), largest, equal_nan=True)
    by_code = found.by_code(codes.astype(np.uint8), 3)
    assert by_code.tolist() == [[sum(codes[row] == code for row in mine) for code in range(3)] for mine in rows]
    some = column[codes == 1]
    assert found.among(codes == 1).total(some) == pytest.approx(
        [sum(values[row] for row in mine if codes[row] == 1) for mine in rows], abs=1e-6
    )
    single = found.single()
    if single is not None:
        assert single.tolist() == [len(mine) == 1 for mine in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST", most)
        ranked = {
            int(n): line.tolist()
            for places, lines in found.ranked(column)
            for n, line in zip(places, lines, strict=True)
        }
        chunks = [(part.start + group, rows) for part, rows, group in found.chunks()]
    assert ranked == {number: sorted(values[row] for row in mine) for number, mine in enumerate(rows) if mine}
    assert [row for _, part in chunks for row in part.tolist()] == found.rows().tolist()
    assert [n for group, _ in chunks for n in group.tolist()] == [n for n, mine in enumerate(rows) for _ in mine]
