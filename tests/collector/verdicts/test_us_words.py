from __future__ import annotations

from collector.catalogue import rule_packs
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.us_words import us_words

HEAD = 'id = "toy"\nkind = "stack"\ntitle = "t"\nsource = "s"\n[[in_force]]\nfrom = 2020-01-01\ncite = "c"\n[us]\n'


def words(id: str) -> dict[str, list[tuple[str, ...]]]:
    us = rule_packs()[id].us
    assert us is not None
    found = list(us_words(us))
    assert all(len(head) == len(row) for _, head, rows in found for row in rows)
    return {title: rows for title, _, rows in found}


def test_part_60_has_its_hour() -> None:
    assert list(words("40cfr60")) == ["hours and tests"]
    says = "a point in each 15 min; with a test, two points 15 min apart"
    assert words("40cfr60")["hours and tests"] == [("valid hour", says, "yes", "40 CFR 60.13(h)(2)")]


def test_part_75_is_told_with_every_number() -> None:
    found = words("40cfr75")
    rows = [row[:5] for row in found["substitution of missing hours"]]
    assert ("SO2, CO2", "from 95 %", "up to 24 h", "mean of the hour before and after", "06") in rows
    higher, lower = (f"or the neighbours' mean if {word}" for word in ("higher", "lower"))
    assert ("SO2, CO2", "from 95 %", "any", f"percentile 90 of 720 h, {higher}", "08") in rows
    assert ("O2, moisture", "from 90 %", "any", f"percentile 5 of 720 h, {lower}", "09") in rows
    assert ("NOx", "from 90 %", "up to 8 h", "mean of 2160 h of the load bin", "11") in rows
    assert ("O2, moisture", "from 80 %", "any", "minimum of 720 h", "10") in rows
    assert ("SO2, CO2", "from 0 %", "any", "maximum potential value", "12") in rows
    assert ("NOx", "until 2160 h are measured", "any", "mean of 2160 h of the load bin", "07") in rows
    tests = [row[:3] for row in found["tests of a monitor"]]
    assert ("daily calibration", "CO2, O2", "1") in tests
    assert (
        "daily calibration", "SO2, NOx", "5 % of span, or 5 for a span up to 50, or 10 for a span above 50 up to 200",
    ) in tests  # fmt: skip
    assert ("seven_day calibration", "SO2, NOx", "2.5 % of span, or 5 for a span below 200") in tests
    assert ("daily calibration", "Hg", "5 % of span, or 1") in tests
    assert ("linearity", "CO2, O2", "5 % of reference, or 0.5") in tests
    steps = "7.5 % for 4 quarters; difference 0.7 for 4 quarters; 10 % for 2 quarters; difference 1 for 2 quarters"
    assert ("RATA", "CO2, O2", f"{steps}; no bias factor") in tests
    assert ("RATA", "gas_flow", "7.5 % for 4 quarters; 10 % for 2 quarters; bias factor") in tests
    (so2,) = [says for test, of, says in tests if (test, of) == ("RATA", "SO2, NOx")]
    assert "difference 15 with a reference up to 250 for 2 quarters" in so2
    assert so2.endswith("bias factor, 1.111 at most where low")
    assert len(found["hours and tests"]) == 3
    assert ("01", "primary monitor") in [row[:2] for row in found["method of determination codes"]]
    assert ("natural gas", "Fd 8710, Fc 1040 scf/mmBtu") in [row[:2] for row in found["fuels"]]
    assert ("diluent cap, boiler", "CO2 5 %, O2 14 %") in [row[:2] for row in found["fuels"]]


def test_of_nothing_nothing_is_told() -> None:
    pack, faults = parse_rules(HEAD, "toy.toml")
    assert faults == []
    assert pack is not None
    assert pack.us is not None
    assert list(us_words(pack.us)) == []
