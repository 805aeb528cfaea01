"""What one tick makes of the long windows of all points: of the days in the book, and of those just derived.

A month or year is judged when it has ended, 30 days every midnight, and again when one of their days changes. What
a text counts over a year (`year_counts`) is looked at whenever a day of the year changes: what nothing can mend any
more is an exceedance at once, and stands as it was opened until the year has ended and is judged as a whole, or until
better data take it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from collector.verdicts.agenda import GRACE_NS, PointKey, Task
from collector.verdicts.book import Book
from collector.verdicts.day_sums import DAY
from collector.verdicts.excuses import told_in
from collector.verdicts.judgement import Derived, settle
from collector.verdicts.long import derive_long
from collector.verdicts.marks import Layer
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Change
from collector.verdicts.year_counts import counts_years, is_count, of_year


class LongLine:
    """Long windows at one tick. now_ns: its time."""

    def __init__(self, book: Book, rules: Mapping[PointKey, PointRules], layer: Layer, now_ns: int) -> None:
        self._book = book
        self._rules = rules
        self._layer = layer
        self._now_ns = now_ns

    def derived(self, tasks: Sequence[Task], results: Sequence[Derived]) -> list[Derived]:
        """What is new in long windows. tasks: all of the tick. results: of the others, not in the book yet."""
        fresh: dict[PointKey, list[Average]] = {}
        for average in (average for derived in results for average in derived.averages if average.window == DAY):
            fresh.setdefault((average.plant, average.point), []).append(average)
        past = {(t.plant, t.point, start) for t in tasks for kind, start in t.past if kind == DAY}
        found = [
            one for key, days in fresh.items() if counts_years(self._rules[key]) for one in self._years(key, days, past)
        ]
        return found + [self._windows(task, fresh.get((task.plant, task.point), ())) for task in tasks if task.long]

    def _windows(self, task: Task, fresh: Sequence[Average]) -> Derived:
        """What is new in the windows of a task."""
        key = (task.plant, task.point)
        rules, days = self._rules[key], self._days(key, task.from_ns, task.to_ns, fresh)
        said = self._layer.states(*key, *told_in(rules, task.from_ns, task.to_ns))
        derived = derive_long(rules, days, task.windows, said)
        broken = list(derived.exceedances)
        if (years := task.windows.get("year")) is not None:
            for from_ns, to_ns in zip(years.from_ns.tolist(), years.to_ns.tolist(), strict=True):
                broken += of_year(rules, days, from_ns, to_ns, ended=True)
        told = self._layer.told(Derived(derived.averages, broken))
        known = self._book.known(task.plant, task.point, task.windows)
        return self._layer.explained(settle(told, *known, now_ns=self._now_ns, past=task.past))

    def _years(
        self, key: PointKey, fresh: Sequence[Average], past: Collection[tuple[str, str, int]]
    ) -> Iterator[Derived]:
        """What is new in the counts of years that some days changed, and that have not ended."""
        rules = self._rules[key]
        years = rules.windows("year", min(day.from_ns for day in fresh), max(day.from_ns for day in fresh) + 1)
        for from_ns, to_ns in zip(years.from_ns.tolist(), years.to_ns.tolist(), strict=True):
            changed = [day for day in fresh if from_ns <= day.from_ns < to_ns]
            if to_ns <= self._now_ns - GRACE_NS or not changed:
                continue  # one that has ended is judged as a whole
            days = self._days(key, from_ns, to_ns, fresh)
            found = {(e.pack, e.clause, e.from_ns): e for e in of_year(rules, days, from_ns, to_ns, ended=False)}
            known = {
                (e.pack, e.clause, e.from_ns): e
                for e in self._book.known_exceedances(*key, "year", from_ns, from_ns + 1)
                if is_count(e.clause)
            }
            stay = {name for name in found if name in known and known[name].change is not Change.WITHDRAWN}
            late = all((*key, day.from_ns) in past for day in changed)
            yield self._layer.explained(
                settle(
                    Derived([], [e for name, e in found.items() if name not in stay]), {},
                    {name: e for name, e in known.items() if name not in stay}, now_ns=self._now_ns,
                    past={("year", from_ns)} if late else (),
                )
            )  # fmt: skip

    def _days(self, key: PointKey, from_ns: int, to_ns: int, fresh: Sequence[Average]) -> list[Average]:
        """The newest averages of the days in a span, with those that are not in the book yet."""
        days = {(a.parameter, a.from_ns): a for a in self._book.known_averages(*key, DAY, from_ns, to_ns)}
        days |= {(a.parameter, a.from_ns): a for a in fresh if from_ns <= a.from_ns < to_ns}
        return [day for _, day in sorted(days.items())]
