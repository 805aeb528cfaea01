"""The first site file: whatever the list holds, what comes of it is a good site file, or the list's faults are told."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import catalogue
from gateway.document import IDENTIFIER
from gateway.sensors import resolve
from gateway.settings import parse_site
from gateway.site_draft import PlantDraft, draft, instruments

PROFILES = catalogue.profiles()
PLANT = PlantDraft(
    id="riverside", name='The "Riverside"\tplant \x7f\u2028', timezone="Asia/Kolkata", broker="mqtts://h"
)
LIST = """sensor,point,name,link,profile,interval_s,parameters
slm-1,fence-1,North fence,tcp://10.0.0.5:502?unit=3,emitwatch-noise,1,LAeq
slm-2,fence-1,,tcp://10.0.0.6?unit=3,taidacent-decibel,,
so2,stack-1,一号烟囱,tcp://10.0.0.7?unit=1,thermo-43i,0.5,
"""

ids = st.from_regex(IDENTIFIER, fullmatch=True)
names = st.text(max_size=20).filter(lambda text: "\0" not in text)
rows = st.tuples(ids, names, st.sampled_from(sorted(PROFILES)), st.integers(1, 247), st.floats(0.1, 86400))


@given(st.lists(rows, min_size=1, max_size=6, unique_by=lambda row: row[0]), st.sampled_from(",;\t"))
def test_every_good_list_becomes_a_good_site_file(
    given_rows: list[tuple[str, str, str, int, float]], mark: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark)
    writer.writerow(["Sensor", "name", "Profile", "link", "interval_s"])
    for number, (id, name, profile, unit, interval_s) in enumerate(given_rows):
        writer.writerow([id, name, profile, f"tcp://127.0.0.1:{1000 + number}?unit={unit}", f"{interval_s}"])
    found, faults = instruments("\ufeff" + out.getvalue(), "list.csv", PROFILES)
    assert not faults
    site, faults = parse_site(draft(PLANT, found, PROFILES), "site.toml")
    assert not faults
    assert site
    assert site.plant.name.en == PLANT.name
    sensors, faults = resolve(site, PROFILES, catalogue.parameters())
    assert not faults
    assert {sensor.settings.id for sensor in sensors} == {row[0] for row in given_rows}
    assert {sensor.settings.id: sensor.profile.name for sensor in sensors} == {row[0]: row[2] for row in given_rows}
    names = {sensor.settings.id: sensor.point.name.en for sensor in sensors}
    assert names == {row[0]: row[1].strip() or row[0] for row in given_rows}


@given(st.text(max_size=300))
def test_any_text_gives_instruments_or_faults(text: str) -> None:
    found, faults = instruments(text, "list.csv", PROFILES)
    assert found or faults


def test_points_and_parameters_are_kept() -> None:
    found, faults = instruments(LIST, "list.csv", PROFILES)
    assert not faults
    site, faults = parse_site(draft(PLANT, found, PROFILES), "site.toml")
    assert site
    assert [(point.id, point.kind, point.name.zh) for point in site.points] == [
        ("fence-1", "noise", "North fence"), ("stack-1", "stack", "一号烟囱"),
    ]  # fmt: skip
    assert [(s.id, s.point, s.interval_s, s.parameters) for s in site.sensors] == [
        ("slm-1", "fence-1", 1.0, ("LAeq",)), ("slm-2", "fence-1", 1.0, ()), ("so2", "stack-1", 0.5, ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("slm-2", "slm-1", "list.csv: sensor: 'slm-1' is there twice"),
        ("slm-2", "slm 2", "list.csv:3: sensor: 'slm 2' is not an id"),
        ("thermo-43i", "thermo-34i", "list.csv:4: profile: there is no profile 'thermo-34i'\n    hint: did you mean"),
        ("?unit=1,", "?unit=999,", "list.csv:4: link: unit '999' is not between"),
        ("i,0.5", "i,soon", "list.csv:4: interval_s: 'soon' is not a number of seconds"),
        ("LAeq", "CO2", "list.csv:2: parameters: 'CO2' is not in the profile emitwatch-noise"),
        ("i,0.5,", "i,0.5,,x,", "list.csv:4: more fields than the header"),
        ("interval_s", "interval", "list.csv:1: interval: unknown column\n    hint: did you mean 'interval_s'?"),
        ("link", "name", "list.csv:1: link: missing column"),
        (LIST[LIST.index("slm-1") :], "", "list.csv: no instrument in it"),
        (LIST, "x" * 200_000, "list.csv:1: not readable as CSV"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, said: str) -> None:
    _, faults = instruments(LIST.replace(old, new, 1), "list.csv", PROFILES)
    assert said in "\n".join(map(str, faults))
