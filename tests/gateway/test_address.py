"""Link addresses: what each option means, and that nothing wrong passes."""

from __future__ import annotations

import pytest

from gateway.links.address import Line, Link, Quirks, parse_link


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("tcp://10.0.0.1", Link(kind="tcp", address="10.0.0.1", port=502, unit=1)),
        ("tcp://[::1]:5020?unit=247", Link(kind="tcp", address="::1", port=5020, unit=247)),
        ("tcp://plc?unit=0", Link(kind="tcp", address="plc", port=502, unit=0)),
        (
            "tcp://plc?unit=255&tid_zero_ok=true&pause_ms=20",
            Link(kind="tcp", address="plc", port=502, unit=255, quirks=Quirks(tid_zero_ok=True, pause_s=0.02)),
        ),
        ("rtu+tcp://gw:4001?unit=3", Link(kind="rtu+tcp", address="gw", port=4001, unit=3)),
        (
            "rtu:///dev/ttyUSB0?baud=19200&parity=E&stopbits=2&unit=2",
            Link(kind="rtu", address="/dev/ttyUSB0", port=0, unit=2, line=Line(baud=19200, parity="E", stopbits=2)),
        ),
    ],
)
def test_links(text: str, link: Link) -> None:
    assert parse_link(text) == link


@pytest.mark.parametrize(
    "text",
    [
        "", "tcp://", "tcp://h:0", "tcp://h:70000", "tcp://h?unit=-1", "tcp://h?unit=x", "tcp://h?unit=",
        "tcp://h/path", "rtu://ttyUSB0", "serial:///dev/x", "h:502", "tcp://[::1", "tcp://me@h", "tcp://h#x",
    ],
)  # fmt: skip
def test_what_is_no_link_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_link(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tcp://h?unit=248", "between 0 and 247, and not 255"),
        ("rtu+tcp://h?unit=0", "a broadcast"),
        ("rtu:///dev/x?unit=255", "1 and 247"),
        ("tcp://h?baud=9600", "'baud' is no option of tcp://"),
        ("rtu:///dev/x?colour=red", "options: unit, baud"),
        ("rtu:///dev/x?stopbit=1", "did you mean 'stopbits'"),
        ("rtu:///dev/x?baud=9601", "baud '9601' is not one of 300, "),
        ("rtu:///dev/x?parity=odd", "not one of N, E, O"),
        ("rtu:///dev/x?tid_zero_ok=true", "no option of rtu://"),
        ("tcp://h?tid_zero_ok=yes", "not one of true, false"),
        ("tcp://h?pause_ms=-1", "not between 0 and 1000"),
        ("tcp://h?pause_ms=nan", "not between 0 and 1000"),
        ("tcp://h?unit=1&unit=2", "twice"),
    ],
)
def test_a_wrong_option_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_link(text)


def test_only_what_is_odd_is_an_option_of_a_network_link() -> None:
    assert parse_link("tcp://h?unit=7&tid_zero_ok=false&pause_ms=0").options == {}
    assert parse_link("tcp://h?tid_zero_ok=true&pause_ms=2.5").options == {"tid_zero_ok": "true", "pause_ms": "2.5"}
    assert parse_link("rtu:///dev/x").options == {"baud": "9600", "parity": "N", "stopbits": "1"}


@pytest.mark.parametrize(
    ("line", "byte_s", "silence_s"),
    [
        (Line(baud=9600), 10 / 9600, 35 / 9600),
        (Line(baud=9600, parity="E"), 11 / 9600, 38.5 / 9600),
        (Line(baud=300, stopbits=2), 11 / 300, 38.5 / 300),
        (Line(baud=115200), 10 / 115200, 0.00175),
    ],
)
def test_time_on_the_line(line: Line, byte_s: float, silence_s: float) -> None:
    assert line.byte_s == pytest.approx(byte_s)
    assert line.silence_s == pytest.approx(silence_s)
