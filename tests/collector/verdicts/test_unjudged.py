"""What nobody judges is told; what goes into the judgement of something else is not."""

from __future__ import annotations

import numpy as np
import pytest

from collector.verdicts.judgement import derive
from collector.verdicts.points import PointRules
from collector.verdicts.unjudged import unjudged
from tests.collector.verdicts.test_averages import DAY_NS, MIDNIGHT, NOISE, WATER, law, series


def told(rules: PointRules, values: dict[str, float]) -> list[str]:
    """What is told of a day of minutes with these values."""
    signals = {name: series(name, np.full(1440, value)) for name, value in values.items()}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + DAY_NS) for kind in rules.built}
    return unjudged(rules, list(signals), derive(rules, signals, wanted).averages)


@pytest.mark.parametrize(("beside", "idle"), [(("COD", "COD_mass"), False), (("pH",), True)])
def test_a_flow_is_taken_where_it_weights_something(beside: tuple[str, ...], idle: bool) -> None:
    """Concentrations are weighted by flow, an acidity is not. Where a file brings volume and mass, none is derived."""
    found = told(WATER, {**dict.fromkeys(beside, 7.0), "flow": 30.0, "volume": 0.5})
    assert ("flow" in {text.partition(":")[0] for text in found}) is idle


@pytest.mark.parametrize(("level", "lacks"), [(54.9, True), (60.6, False)])
def test_a_background_too_near_is_told_with_what_it_asks(level: float, lacks: bool) -> None:
    rules = law("noise", {"area_class": 2, "background_day": 52.0}, "gb12348-2008")
    found = [text for text in told(rules, {"LAeq": level}) if "for want of a correction" in text]
    about = "LAeq: not judged by gb12348-2008/day-level for want of a correction, windows: 1; lacking "
    assert found == [f"{about}a level at least 3 dB above it (1)"] * lacks
    assert told(NOISE, {"LAeq": level}) == [], "no background is given, none is taken out"
