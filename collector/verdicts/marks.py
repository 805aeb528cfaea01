"""The layer of marks: what people said of measurements, laid over them for judging and for showing.

Measurements stay as they are; a mark that stands changes what is judged, and what is shown beside them. Rules:

- maintenance and calibration give their status, invalid gives the status of a fault: none of them is averaged;
- a correction gives a new value: `value * scale + offset` of what was measured, with the status it had, or the
  values of single instants, which then count as good;
- each mark starts from what was measured; where several meet, the later in the journal has the last word;
- a state of the plant changes no value: it says what is judged (`states`). A mark of a whole point leaves alone the
  channel that codes the state, so that maintenance of the monitors in a stop does not hide the stop;
- a note or a record of commissioning changes nothing; a mark that was taken back changes nothing any more.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collector.marks import PLANT_STATES, Filed, Kind, Mark
from collector.verdicts.judgement import Derived
from collector.verdicts.records import Average, Change, Exceedance
from collector.verdicts.screening import Booleans, Signal
from collector.verdicts.state_sources import CHANNEL
from collector.verdicts.states import State
from gateway.measurement import Float64, Int64, Status, UInt8

STATUS = {Kind.MAINTENANCE: Status.MAINTENANCE, Kind.CALIBRATION: Status.CALIBRATION, Kind.INVALID: Status.FAULT}
# What changes nothing that is judged.
SILENT = (Kind.NOTE, Kind.SWAP, Kind.SOUND_CHECK, Kind.SHEET)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Measurements under their marks. value, status: as judged. mark: position of the one with the last word, 0 = none.

    Shapes (n,).
    """

    value: Float64
    status: UInt8
    mark: Int64


class Layer:
    """All marks that a book or a part of it holds, by point."""

    def __init__(self, filed: Iterable[Filed] = ()) -> None:
        self._points: dict[tuple[str, str], list[Filed]] = {}
        self._revoked: dict[int, int] = {}
        for one in filed:
            self.add(one)

    def add(self, filed: Filed) -> None:
        """One more mark, the next of the journal."""
        mark = filed.mark
        if mark.revokes is not None:
            self._revoked[mark.revokes.position] = filed.position
        elif mark.kind not in SILENT:
            self._points.setdefault((mark.plant, mark.point), []).append(filed)

    def revoked_by(self, position: int) -> int:
        """The position of the revocation that took a mark back, 0 = it stands."""
        return self._revoked.get(position, 0)

    def standing(self, plant: str, point: str, from_ns: int, to_ns: int) -> list[Filed]:
        """The marks that change something of a point in [from_ns, to_ns), in the order of the journal."""
        return [
            one
            for one in self._points.get((plant, point), ())
            if one.position not in self._revoked and one.mark.from_ns < to_ns and one.mark.to_ns > from_ns
        ]

    def states(self, plant: str, point: str, from_ns: int, to_ns: int) -> list[State]:
        """What was said of the plant's state at a point in [from_ns, to_ns), in the order of the journal."""
        said = (one.mark for one in self.standing(plant, point, from_ns, to_ns) if one.mark.kind in PLANT_STATES)
        return [State(state=mark.kind.value, from_ns=mark.from_ns, to_ns=mark.to_ns) for mark in said]

    def over(self, plant: str, point: str, signals: Mapping[str, Signal]) -> dict[str, Signal]:
        """The measurements of a point as they are judged, by parameter."""
        found = dict(signals)
        for parameter, signal in signals.items():
            marks = self.standing(plant, point, int(signal.time_ns[0]), int(signal.time_ns[-1]) + 1)
            general = ("", parameter) if parameter != CHANNEL else (parameter,)
            mine = [one for one in marks if one.mark.parameter in general]
            if mine:
                by_sensor = {id: signal.sensor_index == number for number, id in enumerate(signal.sensors)}
                laid = overlay(mine, signal.time_ns, signal.value, signal.status, by_sensor)
                found[parameter] = replace(signal, value=laid.value, status=laid.status)
        return found

    def told(self, derived: Derived) -> Derived:
        """The same averages, each with the marks it was derived under."""
        return Derived([self._told(average) for average in derived.averages], derived.exceedances)

    def explained(self, settled: Derived) -> Derived:
        """The same exceedances, those withdrawn with the marks that may be why."""
        return Derived(settled.averages, [self._explained(one) for one in settled.exceedances])

    def _told(self, average: Average) -> Average:
        # What is converted or derived hangs on the other channels of its point too: oxygen, temperature, velocity.
        whole = not {"corrections", "derived", "weather"}.isdisjoint(average.inputs)
        positions = self._positions(average, "" if whole else average.parameter)
        return replace(average, inputs={**average.inputs, "marks": positions}) if positions else average

    def _explained(self, one: Exceedance) -> Exceedance:
        positions = self._positions(one, "") if one.change is Change.WITHDRAWN else []
        return replace(one, evidence={**one.evidence, "withdrawn_under": positions}) if positions else one

    def _positions(self, window: Average | Exceedance, parameter: str) -> list[int]:
        marks = self.standing(window.plant, window.point, window.from_ns, window.to_ns)
        return [one.position for one in marks if not parameter or one.mark.parameter in ("", parameter)]


def overlay(
    marks: Sequence[Filed], time_ns: Int64, value: Float64, status: UInt8, by_sensor: Mapping[str, Booleans]
) -> Overlay:
    """Measurements of one parameter under the marks that stand. by_sensor: which rows are of which sensor.

    marks: in the order of the journal; states of the plant are passed over. time_ns: rising.
    """
    laid = Overlay(value.copy(), status.copy(), np.zeros(len(time_ns), np.int64))
    for one in (one for one in marks if one.mark.kind not in PLANT_STATES):
        mark = one.mark
        rows = (time_ns >= mark.from_ns) & (time_ns < mark.to_ns)
        if mark.sensor:
            rows &= by_sensor.get(mark.sensor, np.False_)
        if mark.values:
            rows &= np.isin(time_ns, [time for time, _ in mark.values])
            at = np.searchsorted([time for time, _ in mark.values], time_ns[rows])
            laid.value[rows] = np.array([new for _, new in mark.values])[at]
            laid.status[rows] = Status.OK
        else:
            laid.value[rows] = _changed(mark, value[rows])
            laid.status[rows] = STATUS.get(mark.kind, status[rows])
        laid.mark[rows] = one.position
    return laid


def _changed(mark: Mark, value: Float64) -> Float64:
    """What a correction makes of measured values; others leave them."""
    if mark.kind is not Kind.CORRECTION:
        return value
    return value * (1.0 if mark.scale is None else mark.scale) + (mark.offset or 0.0)
