"""The register: what follows from its lines, and that none of them can be changed unseen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.proof.identities import (
    NOTHING_BEFORE,
    Record,
    Refused,
    Register,
    RegisterBroken,
    enrol,
    read_register,
    revoke,
    rotate,
)
from tests.effort import examples

KEYS = [f"{number:064x}" for number in range(1, 9)]


def record(kind: Any, at: int, key: str = "", gateway: str = "gw", **more: Any) -> Record:
    given: dict[str, Any] = {"plant": "riverside", "serial": f"{at:x}" if key else ""}
    return Record(kind=kind, at=at, key=key, gateway=gateway, **{**given, **more})


def text(*records: Record) -> str:
    written = ""
    for each in records:
        written += read_register(written, "r").line(each)
    return written


def register(*records: Record) -> Register:
    return read_register(text(*records), "r")


def test_an_empty_register_knows_nobody() -> None:
    assert read_register("", "r") == Register((), {}, NOTHING_BEFORE)


def test_a_rotated_key_comes_first_and_the_one_before_stays_good_for_its_time() -> None:
    found = register(
        record("enrolled", 10, KEYS[0]),
        record("rotated", 20, KEYS[1], until=50),
        record("rotated", 30, KEYS[2], until=40),
    ).identities["gw"]
    assert found.key == KEYS[2]
    assert dict(found.older) == {KEYS[0]: 40, KEYS[1]: 40}
    assert dict(found.serials) == {"a": 40, "14": 40, "1e": 0}


def test_certificates_are_revoked_when_their_time_is_over_or_their_gateway_is_refused() -> None:
    of = register(
        record("enrolled", 10, KEYS[0]), record("rotated", 20, KEYS[1], until=50),
        record("enrolled", 11, KEYS[2], "other"), record("revoked", 30, gateway="other", keys=(KEYS[2],)),
    )  # fmt: skip
    assert of.revoked_serials(49) == {11: 30}
    assert of.revoked_serials(50) == {10: 50, 11: 30}
    assert of.refused() == ["other"]


def test_a_revoked_gateway_comes_back_with_another_key_only() -> None:
    before = register(record("enrolled", 10, KEYS[0]), record("rotated", 20, KEYS[1], until=99))
    gone = revoke(before, record("revoked", 30), [KEYS[7]])
    assert set(gone.keys) == {KEYS[0], KEYS[1], KEYS[7]}
    after = register(*before.records, gone)
    assert after.identities["gw"].revoked_ns == 30
    for key in gone.keys:
        with pytest.raises(Refused, match="was revoked"):
            enrol(after, record("enrolled", 40, key))
    again = register(*before.records, gone, enrol(after, record("enrolled", 40, KEYS[2]))).identities["gw"]
    assert (again.key, again.older, again.revoked_ns) == (KEYS[2], (), 0)
    assert again.burnt == set(gone.keys)


def test_what_makes_no_sense_is_refused() -> None:
    one = register(record("enrolled", 10, KEYS[0]))
    gone = register(*one.records, revoke(one, record("revoked", 20), []))
    for state, change, wrong in (
        (one, lambda r: enrol(r, record("enrolled", 20, KEYS[1])), "enrolled already"),
        (one, lambda r: enrol(r, record("enrolled", 20, KEYS[0], "other")), "key of gateway gw"),
        (one, lambda r: rotate(r, record("rotated", 20, KEYS[1], "other")), "not enrolled"),
        (gone, lambda r: rotate(r, record("rotated", 30, KEYS[1])), "is revoked"),
        (gone, lambda r: revoke(r, record("revoked", 30), []), "revoked already"),
    ):
        with pytest.raises(Refused, match=wrong):
            change(state)


def lines() -> list[str]:
    return text(
        record("enrolled", 10, KEYS[0]), record("enrolled", 11, KEYS[1], "other", reason="new"),
        record("revoked", 12, keys=(KEYS[0],), reason="stolen"), record("enrolled", 13, KEYS[2]),
    ).splitlines(keepends=True)  # fmt: skip


@pytest.mark.parametrize("drill", ["edit", "drop", "swap", "repeat", "cut", "blank"])
def test_a_changed_line_shows(drill: str) -> None:
    found = lines()
    if drill == "edit":
        found[2] = found[2].replace('"other"', '"gw"').replace("stolen", "stolem")
    elif drill == "drop":
        del found[2]
    elif drill == "swap":
        found[1], found[2] = found[2], found[1]
    elif drill == "repeat":
        found.insert(2, found[2])
    elif drill == "cut":
        found[3] = found[3][:-5]
    else:
        found.insert(2, "\n")
    with pytest.raises(RegisterBroken, match=r"r:[234]: "):
        read_register("".join(found), "r")


def test_a_register_that_lost_its_last_lines_does_not_continue_the_whole_one() -> None:
    whole, short = read_register("".join(lines()), "r"), read_register("".join(lines()[:2]), "r")
    assert whole.continues(short)
    assert whole.continues(whole)
    assert not short.continues(whole)


@settings(max_examples=examples(200))
@given(st.data())
def test_no_flipped_bit_goes_unseen_but_in_the_last_line(data: st.DataObject) -> None:
    raw = bytearray("".join(lines()[:3]), "utf-8")
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 6))
    whole = read_register("".join(lines()), "r")
    changed = raw.decode("utf-8", "replace") + lines()[3]
    with pytest.raises(RegisterBroken):
        read_register(changed, "r")
    assert whole.records[3].prev != NOTHING_BEFORE


@settings(max_examples=examples(200))
@given(st.text(max_size=80))
def test_no_other_text_is_taken_for_a_register(found: str) -> None:
    if found:
        with pytest.raises(RegisterBroken, match=r"^r:"):
            read_register(found, "r")
