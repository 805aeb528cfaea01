"""Contacts: which inputs are read where and how often, and over which values their words are laid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import catalogue
from gateway.blocks import Block, Part
from gateway.contacts import AGE_NS, Contacts, Source
from gateway.measurement import SECOND_NS, Status
from gateway.sensors import Sensor, resolve
from gateway.settings import parse_site
from tests.effort import examples
from tests.gateway.test_inputs import SITE

T0 = 1_790_000_000 * SECOND_NS
OK, MAINTENANCE, CALIBRATION, NO_COMM = (
    int(s) for s in (Status.OK, Status.MAINTENANCE, Status.CALIBRATION, Status.NO_COMM)
)


def sensors(text: str = SITE) -> tuple[Sensor, ...]:
    site, faults = parse_site(text, "site.toml")
    assert site is not None, faults
    found, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return found


def made(text: str = SITE) -> tuple[Contacts, tuple[str, ...]]:
    found = sensors(text)
    series = [series for sensor in found for series in sensor.series]
    return Contacts(found, series, T0), tuple(f"{s.sensor}/{s.parameter}" for s in series)


def hear(contacts: Contacts, source: Source, words: Sequence[int], at_ns: int = T0) -> None:
    for part, word in zip(source.parts, words, strict=True):
        contacts.hear(source, part, np.array([word], np.uint16), at_ns)


def laid(contacts: Contacts, names: Sequence[str], tick_ns: int, status: int = OK) -> dict[str, int]:
    rows = np.arange(len(names))
    found = contacts.lay(rows, np.full(len(names), tick_ns), np.full(len(names), status, np.uint8))
    return dict(zip(names, found.tolist(), strict=True))


OTHER = """
[[point]]
id = "stack-2"
kind = "stack"
[[sensor]]
id = "cems-2"
point = "stack-2"
link = "tcp://127.0.0.1:502?unit=2"
profile = "emitwatch-stack-gas"
interval_s = 300
[[sensor.input]]
link = "tcp://127.0.0.1:503?unit=7"
fc = 2
address = 4
status = "maintenance"
"""


def test_a_module_is_read_once_for_all_and_an_instruments_own_input_with_its_polls() -> None:
    contacts, _ = made(SITE + OTHER)
    (module,) = contacts.modules
    assert (module.link.port, module.link.unit, module.sensors) == (503, 7, ("cems-1", "cems-2"))
    assert [part.block for part in module.parts] == [Block(2, 3, 2)], "contacts side by side are one request"
    assert module.interval_ns == SECOND_NS
    assert {id: [p.block for p in one.parts] for id, one in contacts.own.items()} == {"cems-1": [Block(4, 60, 1)]}


@pytest.mark.parametrize(("interval_s", "read_s"), [(0.1, 1), (4, 4), (600, 10)])
def test_a_module_is_read_as_often_as_its_fastest_sensor_within_bounds(interval_s: float, read_s: int) -> None:
    contacts, _ = made(SITE.replace("interval_s = 1\n", f"interval_s = {interval_s}\n"))
    assert [module.interval_ns for module in contacts.modules] == [read_s * SECOND_NS]


def test_the_first_that_holds_decides_and_outranks_the_instrument() -> None:
    contacts, names = made()
    (module,), own = contacts.modules, contacts.own["cems-1"]
    assert set(laid(contacts, names, T0).values()) == {OK}, "never read, it says nothing"
    hear(contacts, own, [0x12])
    assert {name: status for name, status in laid(contacts, names, T0).items() if status} == {
        "cems-1/velocity": CALIBRATION
    }
    hear(contacts, module, [1])
    for status in (OK, NO_COMM, int(Status.FAULT)):
        assert set(laid(contacts, names, T0, status).values()) == {MAINTENANCE}
    hear(contacts, module, [0])
    assert laid(contacts, names, T0)["cems-1/velocity"] == CALIBRATION
    hear(contacts, own, [0x11])
    assert set(laid(contacts, names, T0, NO_COMM).values()) == {NO_COMM}


def test_a_word_counts_for_as_long_as_it_is_young() -> None:
    contacts, names = made()
    (module,), own = contacts.modules, contacts.own["cems-1"]
    hear(contacts, module, [1], T0)
    for tick_ns, holds in (
        (T0 - AGE_NS, True),
        (T0 + AGE_NS, True),
        (T0 - AGE_NS - 1, False),
        (T0 + AGE_NS + 1, False),
    ):
        assert set(laid(contacts, names, tick_ns).values()) == {MAINTENANCE if holds else OK}
    late_ns = T0 + AGE_NS + SECOND_NS
    hear(contacts, own, [2], late_ns)
    found = laid(contacts, names, late_ns)
    assert found.pop("cems-1/velocity") == CALIBRATION, "the module that is dead says nothing any more"
    assert set(found.values()) == {OK}


def test_what_differs_is_known_before_it_is_taken() -> None:
    contacts, _ = made()
    (module,) = contacts.modules
    (part,), on, off = module.parts, np.array([1], np.uint16), np.array([0], np.uint16)
    assert [contacts.differs(module, part, words) for words in (off, on)] == [False, True]
    contacts.hear(module, part, on, T0)
    assert [contacts.differs(module, part, words) for words in (off, on)] == [True, False]


def test_where_nothing_holds_nothing_is_touched() -> None:
    contacts, names = made()
    status = np.zeros(len(names), np.uint8)
    assert contacts.lay(np.arange(len(names)), np.full(len(names), T0), status) is status
    nobody = Contacts([], [], T0)
    assert nobody.lay(np.array([], np.intp), np.array([], np.int64), status[:0]).tolist() == []


@settings(max_examples=examples(60))
@given(
    st.lists(
        st.tuples(st.sampled_from(["module", "own"]), st.integers(0, 20), st.integers(0, 40)), min_size=1, max_size=12
    )
)
def test_it_is_what_one_would_say_value_by_value(events: list[tuple[str, int, int]]) -> None:
    """Words that come at any time; then a value of every second, judged by the rules as they are written."""
    contacts, names = made()
    (module,), own = contacts.modules, contacts.own["cems-1"]
    heard: dict[str, tuple[int, int]] = {}
    at_ns = T0
    for which, word, seconds in events:
        at_ns += seconds * SECOND_NS
        hear(contacts, module if which == "module" else own, [word % 2 if which == "module" else word], at_ns)
        heard[which] = (word % 2 if which == "module" else word, at_ns)
    found = laid(contacts, names, at_ns)
    for name, status in found.items():
        expect = OK
        for which, holds, means, about in (
            ("own", lambda w: (w & 15) in (2, 3), CALIBRATION, "velocity"),
            ("module", lambda w: w == 1, MAINTENANCE, ""),
        ):
            if which in heard and name.endswith(about):
                word, heard_ns = heard[which]
                if holds(word) and at_ns - heard_ns <= AGE_NS:
                    expect = means
        assert status == expect, (name, heard)


def test_under_another_configuration_what_stays_is_known_and_what_is_read_as_before_is_the_same() -> None:
    before, _ = made(SITE)
    (module,), own = before.modules, before.own["cems-1"]
    hear(before, module, [1])
    hear(before, own, [2])
    module.failed(T0 + 2 * AGE_NS, "gone")
    same, names = made(SITE)
    same.take_over(before)
    assert same.modules == (module,)
    assert same.own == {"cems-1": own}
    assert set(laid(same, names, T0).values()) == {MAINTENANCE}
    more, names = made(SITE + OTHER)
    more.take_over(before)
    (another,) = more.modules
    assert another is not module, "it has more contacts"
    found = laid(more, names, T0)
    assert {status for name, status in found.items() if name.startswith("cems-1")} == {MAINTENANCE}
    assert {status for name, status in found.items() if name.startswith("cems-2")} == {OK}
    none, names = made(SITE.partition("[[sensor.input]]")[0])
    none.take_over(before)
    assert list(none.sources()) == []
    assert set(laid(none, names, T0).values()) == {OK}
    none.hear(module, module.parts[0], np.array([1], np.uint16), T0)
    assert set(laid(none, names, T0).values()) == {OK}, "what is under way when it ends is nobody's"
    joint, _ = made(SITE + OTHER.replace("address = 4", "address = 3"))
    joint.take_over(before)
    assert joint.modules == (module,)
    assert module.sensors == ("cems-1", "cems-2")


def test_that_a_source_cannot_be_read_is_told_once_when_its_word_no_longer_counts() -> None:
    contacts, _ = made()
    (module,) = contacts.modules
    assert module.name == "tcp://127.0.0.1:503?unit=7"
    assert not module.failed(T0 + AGE_NS, "did not answer")
    assert module.failed(T0 + AGE_NS + 1, "did not answer")
    assert not module.failed(T0 + 2 * AGE_NS, "did not answer")
    assert module.answered(T0 + 3 * AGE_NS)
    assert not module.answered(T0 + 3 * AGE_NS)
    assert not module.failed(T0 + 4 * AGE_NS, "again")


def test_what_is_refused_is_halved_and_what_brings_nothing_is_left_alone() -> None:
    contacts, _ = made(SITE + OTHER)
    (module,) = contacts.modules
    (part,) = module.parts
    assert module.halve(part)
    first, second = module.parts
    assert [one.block for one in module.parts] == [Block(2, 3, 1), Block(2, 4, 1)]
    assert not module.halve(first)
    for _ in range(3):
        assert module.next([], 0) == first
        module.rest(first, 0)
    assert module.next([], 0) == second, "it rests"
    assert not module.whole
    assert module.next([second], 0) is None
    assert module.next([], 60 * SECOND_NS) == first
    module.works(first)
    assert module.whole
    assert isinstance(first, Part)
