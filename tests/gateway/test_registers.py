"""Planning, decoding and encoding: properties over invented instruments, then the cases that bite in the field."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.blocks import Block
from gateway.catalogue import profiles as packaged
from gateway.measurement import Status
from gateway.plans import Plan, Rate, narrowed, plan, rates, why
from gateway.profiles import MAX_BITS, Case, Profile
from gateway.registers import decode, encode
from gateway.units import conversion
from gateway.words import TYPES, raw_number
from tests.effort import examples
from tests.gateway import instruments
from tests.gateway.instruments import chooser, profile, register, rule

PACKAGED = packaged()
OK, FAULT = int(Status.OK), int(Status.FAULT)


def words(reading: Plan, *given: list[int]) -> list[np.ndarray]:
    assert [len(w) for w in given] == [block.count for block in reading.blocks]
    return [np.array([w], np.uint16) for w in given]


def one(reading: Plan, *given: list[int]) -> tuple[list[float], list[int]]:
    value, status = decode(reading, words(reading, *given))
    return value[0].tolist(), status[0].tolist()


# --- plans ------------------------------------------------------------------------------------------


@settings(max_examples=examples(50))
@given(instruments.profiles(), st.data())
def test_blocks_hold_every_word_whole_and_stay_within_what_the_instrument_allows(
    p: Profile, data: st.DataObject
) -> None:
    some = data.draw(st.lists(st.sampled_from(p.parameters), unique=True))
    reading = plan(p, some)
    assert reading.parameters == (tuple(some) or p.parameters)
    wanted: set[tuple[int, int]] = set()
    for f in reading.fields:
        block = reading.blocks[f.block]
        assert block.fc == f.register.fc
        assert block.address + f.offset == f.register.address
        assert f.offset + f.register.width <= block.count
        wanted |= {(block.fc, f.register.address + n) for n in range(f.register.width)}
    wanted |= {(r.fc, r.address) for r in p.status if set(r.parameters) & set(reading.parameters)}
    wanted |= {(by.fc, by.address) for f in reading.fields for by in f.register.by}
    for block in reading.blocks:
        bits = block.fc in (1, 2)
        assert 1 <= block.count <= (MAX_BITS if bits else p.max_registers)
        assert block.address + block.count <= 65536
        inside = [(block.fc, block.address + n) in wanted for n in range(block.count)]
        assert inside[0]
        assert inside[-1]
        gap = longest = 0
        for needed in inside:
            gap = 0 if needed else gap + 1
            longest = max(longest, gap)
        assert longest <= (p.max_hole_bits if bits else p.max_hole)
    held = {(b.fc, b.address + n) for b in reading.blocks for n in range(b.count)}
    assert wanted <= held


def test_shipped_profiles_take_few_requests() -> None:
    counts = {name: len(plan(p).blocks) for name, p in PACKAGED.items()}
    wanted = {
        "chuanyi-ps7400f": 4, "emitwatch-noise": 1, "emitwatch-stack-gas": 1, "emitwatch-water": 1,
        "fpi-synspec-pm": 1, "gasmet-cx4000": 1, "sick-mcs100ft": 5, "taidacent-decibel": 1, "thermo-43i": 3,
        "tuf-2000m": 2, "beifen-sbf800": 1, "kaifeng-xintai-water-meter": 1, "sdl-model-4000": 2, "thermo-42i": 3,
    }  # fmt: skip
    assert {name: counts[name] for name in wanted} == wanted
    assert max(counts.values()) <= 5
    assert plan(PACKAGED["sick-mcs100ft"]).blocks[-1] == Block(4, 138, 34)


def test_a_plan_reads_only_what_is_asked_for_and_the_status_about_it() -> None:
    p = profile([register("SO2", 0), register("CO", 2)], [rule(10, ["SO2"]), rule(20, ["CO"])])
    assert plan(p, ["CO"]).blocks == (Block(3, 2, 2), Block(3, 20, 1))
    with pytest.raises(KeyError):
        plan(p, ["O2"])


# --- there and back ---------------------------------------------------------------------------------


@settings(max_examples=examples(50))
@given(instruments.profiles(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_what_is_encoded_is_decoded(p: Profile, n: int, random: object) -> None:
    reading = plan(p)
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    k = len(reading.parameters)
    low = np.array([p.register(name).low for name in reading.parameters])
    high = np.array([p.register(name).high for name in reading.parameters])
    value = low + (high - low) * rng.random((n, k))
    status = np.zeros((n, k), np.uint8)
    owners = {r.parameters[0]: r for r in p.status}
    for column, name in enumerate(reading.parameters):
        if name in owners:
            status[:, column] = np.where(rng.random(n) < 0.5, owners[name].status, 0)
    missing = rng.random((n, k)) < 0.2
    value[missing] = np.nan
    encoded = encode(reading, value, status)
    assert [w.shape for w in encoded] == [(n, b.count) for b in reading.blocks]
    got, got_status = decode(reading, encoded)
    for column, name in enumerate(reading.parameters):
        r = p.register(name)
        step = r.scale / 2 if TYPES[r.type].whole else 1e-6 * max(abs(r.low), abs(r.high))
        there = ~missing[:, column]
        assert np.all(np.abs(got[there, column] - value[there, column]) <= step * 1.0001)
        assert got_status[there, column].tolist() == status[there, column].tolist()
        # An instrument that cannot say "no value" says something that is at least no good one.
        lost = got_status[missing[:, column] & (status[:, column] == OK), column]
        assert TYPES[r.type].whole or (lost == FAULT).all()


@settings(max_examples=examples(40))
@given(instruments.profiles(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_any_words_decode_and_polls_do_not_touch_one_another(p: Profile, n: int, random: object) -> None:
    reading = plan(p)
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    given = [rng.integers(0, 2 if b.fc in (1, 2) else 65536, (n, b.count)).astype(np.uint16) for b in reading.blocks]
    before = [w.copy() for w in given]
    value, status = decode(reading, given)
    assert all((a == b).all() for a, b in zip(given, before, strict=True))
    assert value.dtype == np.float64
    assert status.dtype == np.uint8
    assert value.shape == status.shape == (n, len(reading.parameters))
    assert np.isfinite(value[status == OK]).all()
    assert not np.isinf(value).any()
    for row in range(n):
        alone = decode(reading, [w[row : row + 1] for w in given])
        assert np.array_equal(alone[0][0], value[row], equal_nan=True)
        assert alone[1][0].tolist() == status[row].tolist()


def test_no_polls_at_all_are_fine() -> None:
    reading = plan(PACKAGED["emitwatch-water"])
    value, status = decode(reading, [np.empty((0, block.count), np.uint16) for block in reading.blocks])
    assert value.shape == status.shape == (0, 4)


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_every_status_a_shipped_profile_knows_can_be_told(name: str) -> None:
    p = PACKAGED[name]
    reading = plan(p)
    middle = np.array([[(p.register(n).low + p.register(n).high) / 2 for n in reading.parameters]])
    for known in {OK, *(int(r.status) for r in p.status)}:
        whose = [r.parameters for r in p.status if r.status == known] or [reading.parameters]
        for names in whose:
            status = np.array([[known if n in names else OK for n in reading.parameters]], np.uint8)
            assert decode(reading, encode(reading, middle, status))[1].tolist() == status.tolist()


def test_one_parameter_can_be_purged_while_the_cabinet_stays_closed() -> None:
    reading = plan(PACKAGED["emitwatch-stack-gas"])
    value = np.array([[120.0, -0.5, 8.0, 12.0]])
    status = np.array([[OK, Status.MAINTENANCE, OK, Status.MAINTENANCE]], np.uint8)
    (words,) = encode(reading, value, status)
    assert words[0, 8] == 1 << 4
    everything = np.full((1, 4), Status.MAINTENANCE, np.uint8)
    assert encode(reading, value, everything)[0][0, 8] == 1 << 2


# --- values -----------------------------------------------------------------------------------------


def test_decimals_are_the_ones_the_meter_shows() -> None:
    reading = plan(PACKAGED["emitwatch-noise"])
    n = np.arange(200, 1401)
    value, _ = decode(reading, [np.stack([n, n, 0 * n], axis=1).astype(np.uint16)])
    assert value[:, 0].tolist() == [int(i) / 10 for i in n]


@pytest.mark.parametrize("given", [[0x7F80, 0], [0xFF80, 0], [0x7FC0, 0], [0x7F80, 1]])
def test_what_is_not_finite_is_no_value(given: list[int]) -> None:
    value, status = one(plan(profile([register()])), given)
    assert math.isnan(value[0])
    assert status == [FAULT]


def test_a_scale_that_overflows_is_no_value() -> None:
    value, status = one(plan(profile([register(type="float64", scale=1e300, high=1e308)])), [0x7FE0, 0, 0, 0])
    assert math.isnan(value[0])
    assert status == [FAULT]


def test_sentinels_and_ranges_of_them_are_no_value() -> None:
    p = profile([register(type="int16", sentinels=((-32768.0, -32768.0), (32000.0, 32767.0)), low=-400, high=32767)])
    reading = plan(p)
    for raw, good in ((0x8000, False), (0x8001, True), (31999, True), (32000, False), (32767, False)):
        value, status = one(reading, [raw])
        assert math.isnan(value[0]) is not good
        assert (status == [FAULT]) is not good
    assert encode(reading, np.array([[np.nan]]), np.array([[FAULT]], np.uint8))[0].tolist() == [[0x8000]]


def test_a_value_outside_the_range_is_kept_and_marked() -> None:
    reading = plan(profile([register(type="int16", scale=0.1, low=20, high=140)]))
    assert one(reading, [1400]) == ([140.0], [OK])
    assert one(reading, [1401]) == ([140.1], [int(Status.OUT_OF_RANGE)])
    assert one(reading, [199]) == ([19.9], [int(Status.OUT_OF_RANGE)])


def test_a_float_right_at_the_limit_is_inside() -> None:
    reading = plan(profile([register(low=0.0, high=0.1)]))
    words = encode(reading, np.array([[0.1]]), np.zeros((1, 1), np.uint8))
    assert decode(reading, words)[1].tolist() == [[OK]]


def test_a_counter_in_two_parts_is_their_sum_and_comes_back() -> None:
    reading = plan(PACKAGED["tuf-2000m"], ["total_volume"])
    value = np.array([[0.0], [0.75], [123456.75], [12.999999999], [2147483000.5]])
    words = encode(reading, value, np.zeros(value.shape, np.uint8))
    assert decode(reading, words)[0] == pytest.approx(value, abs=1e-6)
    assert words[0][2].tolist()[:2] == [0xE240, 0x0001]
    missing = encode(reading, np.array([[np.nan]]), np.array([[FAULT]], np.uint8))
    assert math.isnan(decode(reading, missing)[0][0, 0])


def test_values_too_large_for_the_register_are_clipped_not_wrapped() -> None:
    for type in sorted(TYPES):
        reading = plan(profile([register(type=type, low=-1e308, high=1e308)]))
        value = np.array([[1e300], [-1e300]])
        got = decode(reading, encode(reading, value, np.zeros(value.shape, np.uint8)))[0][:, 0]
        assert got.tolist() == pytest.approx([min(1e300, TYPES[type].high), max(-1e300, TYPES[type].low)])


def test_two_numbers_in_one_word_do_not_disturb_one_another() -> None:
    p = profile([
        register("SO2", 0, type="int8", mask=0xFF00, low=-128, high=127), register("CO", 0, type="uint8", high=255),
    ])  # fmt: skip
    reading = plan(p)
    assert reading.blocks == (Block(3, 0, 1),)
    assert one(reading, [0xFE07]) == ([-2.0, 7.0], [OK, OK])
    assert encode(reading, np.array([[-2.0, 7.0]]), np.zeros((1, 2), np.uint8))[0].tolist() == [[0xFE07]]


def test_another_word_chooses_scale_and_unit() -> None:
    units = tuple(
        Case(word=n, scale=1.0, unit=unit, conversion=conversion(unit, "mg/m3", 64.0))
        for n, unit in enumerate(("mg/m3", "ppm"))
    )
    by = (chooser(5, 1.0, 0.1, 0.01), chooser(6, cases=units, mask=0x000F))
    reading = plan(profile([register("SO2", 0, type="uint16", by=by)]))
    assert reading.blocks == (Block(3, 0, 1), Block(3, 5, 2))
    assert one(reading, [701], [1, 0]) == ([70.1], [OK])
    assert one(reading, [1000], [2, 0xFFF1])[0] == pytest.approx([10 * 64 / 22.4])
    for unknown in ([3, 0], [0, 2]):
        value, status = one(reading, [701], unknown)
        assert math.isnan(value[0])
        assert status == [FAULT]


def test_a_sentinel_can_say_why_there_is_no_value() -> None:
    under, over = raw_number(1e37, "float32"), raw_number(2e37, "float32")
    told = ((over, over, Status.OUT_OF_RANGE),)
    reading = plan(profile([register(sentinels=((under, under),), told=told, high=1e38)]))
    for raw, said in ((under, Status.FAULT), (over, Status.OUT_OF_RANGE)):
        (words,) = encode(reading, np.array([[np.nan]]), np.array([[said]], np.uint8))
        assert words.astype(">u2").view(">f4")[0, 0] == raw
        value, status = decode(reading, [words])
        assert math.isnan(value[0, 0])
        assert status.tolist() == [[said]]


def test_what_is_refused_is_no_value_and_everything_else_goes_on() -> None:
    p = profile(
        [register("SO2", 0, type="uint16"), register("CO", 1, type="uint16"), register("NO", 2, type="uint16")],
        [rule(3, ["NO"])],
    )
    reading = narrowed(plan(p), 0)
    assert reading.blocks == (Block(3, 0, 2), Block(3, 2, 2))
    reading = narrowed(narrowed(reading, 0), 0)
    assert reading.blocks == (Block(3, 1, 1), Block(3, 2, 2))
    assert list(why(reading)) == ["SO2"]
    value, status = decode(reading, words(reading, [7], [8, 0]))
    assert np.isnan(value[0, 0])
    assert value[0, 1:].tolist() == [7.0, 8.0]
    assert status.tolist() == [[FAULT, OK, OK]]
    reading = narrowed(narrowed(reading, 1), 2)
    value, status = decode(reading, words(reading, [7], [8]))
    assert value[0, 1:].tolist() == [7.0, 8.0]
    assert status.tolist() == [[FAULT, OK, FAULT]], "a value whose status nobody knows is no good one"
    assert "status word 3:3" in why(reading)["NO"]
    reading = narrowed(narrowed(reading, 0), 0)
    assert reading.blocks == ()
    value, status = decode(reading, [])
    assert np.isnan(value).all()
    assert status.tolist() == [[FAULT, FAULT, FAULT]]


@settings(max_examples=examples(40))
@given(instruments.profiles(), st.data())
def test_an_instrument_that_lacks_registers_gives_all_the_others(p: Profile, data: st.DataObject) -> None:
    whole = plan(p)
    value = np.array([[(p.register(n).low + p.register(n).high) / 2 for n in p.parameters]])
    held = encode(whole, value, np.zeros(value.shape, np.uint8))
    spans = sorted({span for part in whole.parts for span in part.spans})
    lacking = set(data.draw(st.lists(st.sampled_from(spans), max_size=2, unique=True)))
    absent = {(span.fc, span.address + n) for span in lacking for n in range(span.count)}
    memory = {
        (b.fc, b.address + n): int(w[0, n])
        for b, w in zip(whole.blocks, held, strict=True)
        for n in range(b.count)
        if (b.fc, b.address + n) not in absent
    }
    reading, asked, number = whole, 0, 0
    while number < len(reading.blocks):
        block, asked = reading.blocks[number], asked + 1
        if all((block.fc, block.address + n) in memory for n in range(block.count)):
            number += 1
        else:
            reading = narrowed(reading, number)
    assert set(reading.refused) == lacking
    assert asked <= len(whole.blocks) + 2 * len(lacking) * math.ceil(math.log2(max(len(spans), 2)))
    got = [np.array([[memory[b.fc, b.address + n] for n in range(b.count)]], np.uint16) for b in reading.blocks]
    found, status = decode(reading, got)
    for column, name in enumerate(p.parameters):
        if name not in why(reading):
            true, true_status = decode(whole, held)
            assert found[0, column] == true[0, column]
            assert status[0, column] == true_status[0, column]
        else:
            assert status[0, column] != OK


def test_registers_of_different_intervals_have_plans_of_their_own() -> None:
    p = profile([register("SO2", 0), register("CO", 2, interval_s=0.1), register("NO", 4)], [rule(6, ["CO", "NO"])])
    fast, slow = rates(plan(p, ["NO", "CO", "SO2"]), 1.0)
    assert (fast.interval_ns, fast.plan.parameters, fast.columns) == (100_000_000, ("CO",), (1,))
    assert (slow.interval_ns, slow.plan.parameters, slow.columns) == (1_000_000_000, ("NO", "SO2"), (0, 2))
    assert fast.plan.blocks == (Block(3, 2, 2), Block(3, 6, 1))
    whole = plan(p, ["NO", "SO2"])
    assert rates(whole, 5.0) == (Rate(5_000_000_000, whole, (0, 1)),)


# --- status -----------------------------------------------------------------------------------------


def test_the_first_rule_that_applies_decides() -> None:
    both = [rule(2, ["SO2"], mask=1, values=(1,), status=Status.MAINTENANCE), rule(2, ["SO2"], mask=2, values=(2,))]
    p = profile([register()], both)
    assert one(plan(p), [0x4120, 0, 3])[1] == [int(Status.MAINTENANCE)]
    assert one(plan(p), [0x4120, 0, 2])[1] == [FAULT]
    assert one(plan(p), [0x7FC0, 0, 1])[1] == [int(Status.MAINTENANCE)]


def test_rules_concern_their_parameters_only() -> None:
    p = profile([register("SO2", 0), register("CO", 2)], [rule(4, ["CO"])])
    assert one(plan(p), [0x4120, 0, 0x4120, 0, 1])[1] == [OK, FAULT]
    assert one(plan(p, ["CO", "SO2"]), [0x4120, 0, 0x4120, 0, 1])[1] == [FAULT, OK]


@pytest.mark.parametrize(
    ("changes", "fires", "quiet"),
    [
        ({"mask": 0xFFFF, "values": (2, 3)}, [2, 3], [0, 1, 4, 0x102]),
        ({"mask": 0x000F, "values": (2,)}, [2, 0x102], [0, 3]),
        ({"mask": 0xFFFF, "values": (0,), "negated": True}, [1, 0x8000], [0]),
        ({"mask": 8, "values": (0,)}, [0, 7], [8, 15]),
    ],
)
def test_conditions(changes: dict[str, object], fires: list[int], quiet: list[int]) -> None:
    reading = plan(profile([register()], [rule(2, ["SO2"], **changes)]))
    for word in fires:
        assert one(reading, [0x4120, 0, word])[1] == [FAULT]
    for word in quiet:
        assert one(reading, [0x4120, 0, word])[1] == [OK]


@settings(max_examples=examples(40))
@given(st.integers(1, 0xFFFF), st.booleans(), st.data())
def test_any_condition_can_be_made_true_and_false(mask: int, negated: bool, data: st.DataObject) -> None:
    count = min(2 ** mask.bit_count() - 1, 3)
    values = data.draw(
        st.lists(st.integers(0, 0xFFFF).map(lambda w: w & mask), min_size=1, max_size=count, unique=True)
    )
    reading = plan(profile([register()], [rule(2, ["SO2"], mask=mask, values=tuple(values), negated=negated)]))
    for status in (OK, FAULT):
        given = np.array([[status]], np.uint8)
        assert decode(reading, encode(reading, np.array([[10.0]]), given))[1].tolist() == [[status]]


def test_a_factor_that_is_no_simple_fraction_is_used_as_it_is() -> None:
    reading = plan(profile([register(type="uint16", scale=0.0123456789012345)]))
    assert one(reading, [1000])[0] == pytest.approx([12.3456789012345])


def test_evidence_finds_the_registers_of_a_parameter() -> None:
    reading = plan(PACKAGED["tuf-2000m"])
    places = [(f.register.parameter, f.register.address) for f in reading.fields]
    assert [address for parameter, address in places if parameter == "total_volume"] == [8, 10]
    (field,) = (f for f in reading.fields if f.register.parameter == "flow")
    assert (reading.blocks[field.block], field.offset) == (Block(3, 0, 12), 0)


def test_an_instrument_in_ppb_gives_mg_per_cubic_metre() -> None:
    reading = plan(PACKAGED["thermo-43i"])
    words = encode(reading, np.array([[40.0]]), np.zeros((1, 1), np.uint8))
    assert words[-1].tolist() == [[0xC000, 0x465A]]  # 14000 ppb, words swapped
    assert decode(reading, words)[0].tolist() == [[40.0]]
