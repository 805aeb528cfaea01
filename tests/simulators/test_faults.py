"""Faults on demand: how they are named, and what each does to values and to bytes."""

from __future__ import annotations

import numpy as np
import pytest

from simulators import faults
from simulators.faults import Fault, parse_fault

PDU, REQUEST = bytes.fromhex("03 04 0001 0002"), bytes.fromhex("03 0000 0002")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("silent", Fault("", "silent", 0.0)),
        ("slm-north:silent", Fault("slm-north", "silent", 0.0)),
        ("cems-1:exception=2", Fault("cems-1", "exception", 2.0)),
        ("late", Fault("", "late", 3.0)),
        ("late=0.5", Fault("", "late", 0.5)),
    ],
)
def test_faults_are_named(text: str, expected: Fault) -> None:
    assert parse_fault(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slient", "did you mean 'silent'"),
        ("broken-pipe-of-some-kind", "faults: silent"),
        ("late=soon", "'soon' is not a number"),
        ("late=-1", "outside"),
        ("silent=3", "takes no argument"),
        ("", "faults: silent"),
    ],
)
def test_a_fault_that_does_not_exist_is_explained(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("silent", ""),
        ("exception=4", "0005 0000 0003 01 83 04"),
        ("short", "0005 0000 0005 01 03 02 0001"),
        ("function=6", "0005 0000 0007 01 06 04 0001 0002"),
        ("unit=9", "0005 0000 0007 09 03 04 0001 0002"),
        ("transaction", "0006 0000 0007 01 03 04 0001 0002"),
        ("stuck", "0005 0000 0007 01 03 04 0001 0002"),
        ("crc", "0005 0000 0006 01 03 04 0001 0002"),
        ("half", "0005 0000"),
        ("noise=2", "55 5c 0005 0000 0007 01 03 04 0001 0002"),
        ("twice", 2 * "0005 0000 0007 01 03 04 0001 0002"),
        ("echo", "0005 0000 0006 01 03 0000 0002" + "0005 0000 0007 01 03 04 0001 0002"),
    ],
)
def test_faults_on_the_wire(text: str, frame: str) -> None:
    assert faults.replies(parse_fault(text), 5, 1, PDU, REQUEST) == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("exception=4", "01 83 04 40 f3"),
        ("unit=9", "09 03 04 0001 0002 a3 f2"),
        ("transaction", "01 03 04 0001 0002 2a 32"),
        ("crc", "01 03 04 0001 0002 2a 33"),
        ("half=2", "01 03"),
        ("echo", "01 03 0000 0002 c4 0b" + "01 03 04 0001 0002 2a 32"),
    ],
)
def test_faults_in_rtu_frames(text: str, frame: str) -> None:
    assert faults.replies(parse_fault(text), None, 1, PDU, REQUEST) == bytes.fromhex(frame)


def test_a_hangup_closes_the_connection() -> None:
    assert faults.replies(parse_fault("hangup"), 5, 1, PDU) is None


def test_faults_of_values() -> None:
    value, status = np.array([[1.0, 2.0]]), np.zeros((1, 2), np.uint8)
    assert np.isnan(faults.disguise(parse_fault("nan"), value, status)[0]).all()
    assert (faults.disguise(parse_fault("status=1"), value, status)[1] == 1).all()
    assert faults.disguise(None, value, status)[0] is value
    assert faults.instant(parse_fault("stuck"), 99, 5) == 5
    assert faults.instant(parse_fault("silent"), 99, 5) == 99
    assert faults.delay_s(parse_fault("late=1.5")) == 1.5
    assert faults.delay_s(None) == 0.0


def test_every_fault_says_what_it_does() -> None:
    for kind, (does, argument, default) in faults.FAULTS.items():
        assert does
        assert bool(argument) == (default is not None), kind
        assert parse_fault(kind).kind == kind
