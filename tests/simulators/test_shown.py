"""What an instrument is to show: how it is written, and what is said where it is not."""

from __future__ import annotations

import pytest

from simulators.shown import Shown, parse_shown

KNOWN = {"slm": ["LAeq", "LAmax"], "cems": ["SO2"]}


def test_a_value_is_shown_or_no_longer() -> None:
    assert parse_shown(" slm/LAeq = 94.0\n", KNOWN) == Shown("slm", "LAeq", 94.0)
    assert parse_shown("cems/SO2=-3e1", KNOWN) == Shown("cems", "SO2", -30.0)
    assert parse_shown("cems/SO2=", KNOWN) == Shown("cems", "SO2", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "SENSOR/PARAMETER=VALUE"),
        ("slm", "SENSOR/PARAMETER=VALUE"),
        ("slm/LAeq", "SENSOR/PARAMETER=VALUE"),
        ("LAeq=94", "SENSOR/PARAMETER=VALUE"),
        ("smm/LAeq=94", "did you mean 'slm'"),
        ("slm/SO2=94", "there is LAeq, LAmax"),
        ("slm/LAeq=loud", "'loud' is not a number"),
        ("slm/LAeq=nan", "cannot be made to show nan"),
    ],
)
def test_a_mistake_is_explained(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_shown(text, KNOWN)
