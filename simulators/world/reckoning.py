"""The oracle's last word: everything has come to rest, so every value has to be where it belongs.

Each check is a function of the quiet world; what it finds it says under the name of its clause.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from collector.intake.events import What, event
from collector.intake.lineage import RETURNS
from collector.intake.projector import rows
from collector.store import Entry, EntryKind, Rows
from gateway import wire
from gateway.clock import MIXED_NS
from gateway.measurement import Status, concatenate
from gateway.seal import SIGNATURE_BYTES, digest
from simulators.world.ledger import Ledger
from simulators.world.oracle import Left, Oracle, Produced
from simulators.world.plant_gateway import POLLS, SENSORS, STATUSES
from simulators.world.timeline import START_NS

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Record:
    """A batch in the journal, read."""

    entry: Entry
    batch: wire.Batch


def reckon(oracle: Oracle, ledger: Ledger, pieces: Sequence[Rows]) -> None:
    """Say all that is wrong. pieces: the store, as it followed the journal."""
    oracle.remember(ledger.entries)
    forged = oracle.forgeries
    read = [Record(entry, ledger.read(entry)) for entry in ledger.entries if entry.kind is EntryKind.BATCH]
    store = rows([(one.entry, one.batch) for one in read])
    _rebuilt(oracle, store, pieces)
    genuine = rows([(one.entry, one.batch) for one in read if one.entry.payload not in forged])
    beside = [entry for entry in ledger.entries if entry.kind is EntryKind.CONFLICT and entry.payload not in forged]
    if beside:  # the genuine one came second: it is kept, beside the other
        more = rows([(entry, wire.decode(entry.payload[1 + SIGNATURE_BYTES :])) for entry in beside])
        seen = _values(oracle, [genuine, more])
    else:
        seen = _values(oracle, [genuine])
    _missing(oracle, ledger, read, seen)
    _numbers(oracle, ledger, read)
    _declared(oracle, ledger)
    _chain(oracle, read)
    _alarms(oracle, ledger, read)
    _unlinked(oracle, read)
    _ends(oracle, read)


# --- the store --------------------------------------------------------------------------------------


def _rebuilt(oracle: Oracle, store: Rows, pieces: Sequence[Rows]) -> None:
    """What was projected bit by bit is what is projected at once."""
    followed = _table(pieces)
    whole = _table([store])
    if followed.shape != whole.shape or (followed != whole).any():
        oracle.violate("rebuild", f"the store has {len(followed)} rows, built anew it has {len(whole)}")


def _table(pieces: Iterable[Rows]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Rows as numbers that say all, in an order that does not depend on the pieces."""
    found = [
        np.column_stack([
            np.array([hash_of(stream) for stream in piece.streams], np.int64)[piece.stream_index],
            piece.seq.astype(np.int64), piece.index.astype(np.int64), piece.columns.time_ns,
            piece.columns.value.view(np.int64), piece.columns.status.astype(np.int64),
        ])
        for piece in pieces if len(piece)
    ]  # fmt: skip
    table = np.concatenate(found) if found else np.empty((0, 6), np.int64)
    return table[np.lexsort(table.T[::-1])]


def hash_of(stream: tuple[str, bytes]) -> int:
    """A number for a stream, the same in every process."""
    return int.from_bytes(digest(stream[0].encode() + stream[1])[:8], signed=True)


def _values(oracle: Oracle, found: Sequence[Rows]) -> dict[int, set[int]]:
    """The polls of each machine that are in the store; all of them once, and as they were measured."""
    columns = concatenate([piece.columns for piece in found])
    value = columns.value.astype(np.int64)
    sensor, poll = value // POLLS, value % POLLS
    if len(np.unique(value)) != len(value):
        twice = np.flatnonzero(np.bincount(np.unique(value, return_inverse=True)[1]) > 1)[:_SHOWN]
        oracle.violate("duplicated", f"values {np.unique(value)[twice].tolist()} are there twice")
    seen: dict[int, set[int]] = {}
    for machine, made in oracle.produced.items():
        mine = sensor // 16 == machine
        place, at = sensor[mine] % 16, poll[mine]
        if (at >= len(made.time_ns)).any() or (place >= SENSORS).any() or (columns.value[mine] != value[mine]).any():
            oracle.violate("altered", f"machine {machine}: values that it never measured")
            continue
        times = np.array(made.time_ns, np.int64)[at]
        status = np.array(STATUSES, np.uint8)[at % len(STATUSES)]
        odd = np.flatnonzero((times != columns.time_ns[mine]) | (status != columns.status[mine]))
        told = zip(
            at[odd].tolist(), columns.time_ns[mine][odd].tolist(), columns.status[mine][odd].tolist(), strict=True
        )
        wrong = [one for one in told if not _of_a_wrong_clock(made, *one)]
        if wrong:
            oracle.violate("altered", f"machine {machine}: (poll, time, status) {wrong[:_SHOWN]}")
        sensors = np.bincount(at, minlength=1)
        seen[machine] = set(np.flatnonzero(sensors >= SENSORS).tolist())
        partly = np.flatnonzero((sensors > 0) & (sensors < SENSORS))
        if len(partly):
            oracle.violate("lost", f"machine {machine}: of polls {partly[:_SHOWN].tolist()} some sensors only")
    others = ~np.isin(sensor // 16, list(oracle.produced))
    if others.any():
        oracle.violate("altered", f"values of nobody: {columns.value[others][:_SHOWN].tolist()}")
    return seen


def _of_a_wrong_clock(made: Produced, poll: int, time_ns: int, status: int) -> bool:
    """Whether time and status are what a clock that was set does to a poll.

    It may be sealed by the clock after a step, when one came soon after it, and flagged where a clock was ever set.
    """
    true_ns = made.true_ns[poll]
    after = {
        START_NS + true_ns + offset_ns for since_ns, offset_ns in made.clocks if 0 <= since_ns - true_ns <= MIXED_NS
    }
    measured = STATUSES[poll % len(STATUSES)]
    flagged = any(offset_ns for _, offset_ns in made.clocks) and measured is Status.OK and status == Status.UNSYNCED
    return (time_ns == made.time_ns[poll] or time_ns in after) and (status == measured or flagged)


# --- what is missing ----------------------------------------------------------------------------------


def _missing(oracle: Oracle, ledger: Ledger, read: Sequence[Record], seen: dict[int, set[int]]) -> None:
    """Every poll that is not in the store has its own lawful reason."""
    left: dict[int, dict[int, Left]] = {machine: {} for machine in oracle.produced}
    for card, rows_of_card in oracle.left_rows.items():
        # Given up, then brought back by a card that lies: it counts as received, and is kept as evidence alone.
        back = [key for key in card.state.acked if (card.gateway, *key) in oracle.returned]
        kept = [Left(card.gateway, card.state.rows[key], "kept") for key in back]
        for one in (*rows_of_card.values(), *kept):
            for machine, polls in polls_in(one.row[5]).items():
                left[machine].update(dict.fromkeys(polls, one))
    corrupt = _corrupt(read)
    for machine, made in oracle.produced.items():
        for poll in range(len(made.time_ns)):
            if poll in seen.get(machine, ()) or poll in made.died:
                continue
            if poll not in made.committed:
                oracle.violate("unexplained", f"machine {machine}: poll {poll} was never committed")
            elif (gone := left[machine].get(poll)) is None:
                oracle.violate("lost", f"machine {machine}: poll {poll} was committed and is nowhere")
            elif why := unlawful(oracle, ledger, gone, corrupt):
                oracle.violate("lost", f"machine {machine}: poll {poll}, batch {gone.row[1]}, {gone.why}: {why}")


def polls_in(payload: bytes) -> dict[int, set[int]]:
    """The polls of each machine in a batch."""
    found: dict[int, set[int]] = {}
    for value in wire.decode(payload[1 + SIGNATURE_BYTES :]).columns.value.astype(np.int64).tolist():
        found.setdefault(value // POLLS // 16, set()).add(value % POLLS)
    return found


def _corrupt(read: Sequence[Record]) -> set[tuple[str, int]]:
    """The process starts whose hello tells of damage: (gateway, which start)."""
    return {
        (one.entry.gateway, _start(one.entry.epoch))
        for one in read
        if one.batch.header.kind == "hello" and one.batch.fields["reason"] == "corrupt"
    }


def _start(epoch: bytes) -> int:
    """Which start of its process an epoch is."""
    return int.from_bytes(epoch[:8])


def unlawful(oracle: Oracle, ledger: Ledger, one: Left, corrupt: set[tuple[str, int]]) -> str:
    """Why a row that left its card should nevertheless be there; "" = it may be missing."""
    epoch, seq = one.row[0], one.row[1]
    stream = one.gateway, epoch
    if any(payload not in oracle.forgeries for payload in ledger.payloads(stream, seq)):
        return "the journal holds it, and the store does not"
    rolled_back = (*stream, seq) in oracle.rolled_back
    if one.why in ("cut", "taken"):
        return ""
    declared = any(
        d.gateway == one.gateway and d.ep == epoch and d.from_seq <= seq <= d.to_seq for d in ledger.declared
    )
    if one.why in ("freed", "expired", "kept"):
        # Declared before a lying card brought it back, it counts as received, and nobody asks for it again.
        known = rolled_back or (declared and (*stream, seq) in oracle.returned)
        return "" if known else "it was acknowledged"
    if declared:
        return ""
    if one.why == "ruined" and rolled_back:
        return ""
    # What came after the last salvaged number nobody knows; the hello of the next start says that there was damage.
    beyond = oracle.beyond.get((*stream, seq)) if one.why == "ruined" else None
    if beyond is not None and any(gateway == one.gateway and start > beyond for gateway, start in corrupt):
        return ""
    gone = [left for rows_of_card in oracle.left_rows.values() for left in rows_of_card.values()]
    records = [left for left in gone if left.gateway == one.gateway and _tells_of(left.row[5], epoch, seq, beyond)]
    if any(not unlawful(oracle, ledger, record, corrupt) for record in records):
        return ""  # it was told, and the record may be missing itself
    return "nothing tells of it"


def _tells_of(payload: bytes, epoch: bytes, seq: int, beyond: int | None) -> bool:
    """Whether a row, lost itself, is the record of a number: its gap record, or the hello after damage beyond it."""
    batch = _record(payload)
    if batch is None:
        return False
    if batch.header.kind == "hello":
        damage = batch.fields["reason"] == "corrupt"
        return damage and beyond is not None and _start(batch.header.ep) > beyond
    gap = batch.fields["gap"]
    return bool(gap["ep"] == epoch and gap["from_seq"] <= seq <= gap["to_seq"])


@lru_cache(maxsize=1 << 15)
def _record(payload: bytes) -> wire.Batch | None:
    """The hello or gap record in a row, which is asked for each number that is missing; None = it holds values."""
    batch = wire.decode(payload[1 + SIGNATURE_BYTES :])
    return batch if batch.header.kind in ("hello", "gap") else None


def _numbers(oracle: Oracle, ledger: Ledger, read: Sequence[Record]) -> None:
    """Below the highest number of a stream none is missing without a word."""
    left = {(one.gateway, *key): one for rows_of_card in oracle.left_rows.values() for key, one in rows_of_card.items()}
    corrupt = _corrupt(read)
    real = {(one.entry.gateway, one.entry.epoch) for one in read}
    for (gateway, epoch), truth in ledger.truth.items():
        if (gateway, epoch) not in real:
            continue
        for seq in range(truth.upto + 1, max(truth.above, default=0)):
            if seq in truth.above:
                continue
            row = left.get((gateway, epoch, seq))
            if row is None or unlawful(oracle, ledger, row, corrupt):
                why = row.why if row else "on no card"
                oracle.violate("unexplained", f"{gateway}: number {seq} of epoch {epoch[:8].hex()} is missing, {why}")


def _declared(oracle: Oracle, ledger: Ledger) -> None:
    """What the collector tells of a gap record is what the journal lacked at that place."""
    told = [entry for entry in ledger.entries if entry.kind is EntryKind.EVENT]
    found = []
    for entry in told:
        one = event(entry)
        if one.what == What.GAP:
            found.append((entry.gateway, one.detail["epoch"], one.detail["from_seq"], one.detail["missing"]))
    mine = [(d.gateway, d.ep.hex(), d.from_seq, d.missing) for d in ledger.declared]
    if found != mine:
        odd = [one for one in mine if one not in found][:_SHOWN] or [one for one in found if one not in mine][:_SHOWN]
        oracle.violate("gap_wrong", f"gap records are told otherwise than they are: {odd}")


# --- chain and alarms -----------------------------------------------------------------------------------


def _chain(oracle: Oracle, read: Sequence[Record]) -> None:
    """Every batch names the hash of the one before, forged ones aside."""
    hashes: dict[tuple[str, bytes, int], bytes] = {}
    for one in read:
        hashes[one.entry.gateway, one.entry.epoch, one.entry.seq] = digest(one.entry.payload)
    odd = {(w, g, e) for w, g, e in oracle.licences if w == What.CONFLICT}
    for one in read:
        entry = one.entry
        before = hashes.get((entry.gateway, entry.epoch, entry.seq - 1))
        broken = before is not None and before != one.batch.header.prev
        if broken and (What.CONFLICT, entry.gateway, entry.epoch) not in odd:
            oracle.violate("chain", f"{entry.gateway}: batch {entry.seq} does not follow the one before")


def _alarms(oracle: Oracle, ledger: Ledger, read: Sequence[Record]) -> None:
    """No alarm without a reason, and no reason without its alarm."""
    for what, gateway, epoch in oracle.told:
        if not {(what, gateway, b""), (what, gateway, epoch)} & oracle.licences:
            oracle.violate("alarm_false", f"{gateway}: {what}, and nobody has done anything")
    told = {(what, gateway) for what, gateway, _ in oracle.told}
    for gateway, epoch in sorted(_forgotten(oracle, ledger, read)):
        if not {(What.DISK_LOST, gateway), (What.DUPLICATE_IDENTITY, gateway)} & told:
            oracle.violate("alarm_missing", f"{gateway}: its card has forgotten batches of {epoch[:8].hex()}")
    for gateway in sorted(oracle.replaced):
        if _beginnings(gateway, read) > 1 and not {(What.CHAIN_BREAK, gateway), (What.REPLACED, gateway)} & told:
            oracle.violate("alarm_missing", f"{gateway}: it was replaced, and nothing tells of it")
    for gateway in sorted(_returned(read)):
        if not oracle.rolled_back and (What.DUPLICATE_IDENTITY, gateway) not in told:
            oracle.violate("alarm_missing", f"{gateway}: two machines send under its name")


def _unlinked(oracle: Oracle, read: Sequence[Record]) -> None:
    """A batch that was made up names none before it: that is told."""
    held = {(one.entry.gateway, one.entry.epoch, one.entry.seq) for one in read}
    told = {(gateway, epoch) for what, gateway, epoch in oracle.told if what == What.CHAIN_BREAK}
    for entry in (one.entry for one in read if one.entry.payload in oracle.forgeries):
        stream = entry.gateway, entry.epoch
        if (*stream, entry.seq - 1) in held and stream not in told:
            oracle.violate("alarm_missing", f"{entry.gateway}: batch {entry.seq} was made up, and no break is told")


def _ends(oracle: Oracle, read: Sequence[Record]) -> None:
    """A hello says how the process before it ended."""
    for one in read:
        known = oracle.ends.get((one.entry.gateway, one.entry.epoch))
        if one.batch.header.kind == "hello" and known and one.batch.fields["reason"] != known:
            said = one.batch.fields["reason"]
            oracle.violate(
                "end_wrong", f"{one.entry.gateway}: the process before ended by {known}, the hello says {said}"
            )


def _heirs(read: Sequence[Record]) -> dict[tuple[str, bytes], int]:
    """(gateway, epoch) -> the last number of it that any later hello knows of."""
    heirs: dict[tuple[str, bytes], int] = {}
    for one in read:
        if one.batch.header.kind == "hello" and one.batch.fields["prev_ep"]:
            stream = one.entry.gateway, one.batch.fields["prev_ep"]
            heirs[stream] = max(heirs.get(stream, 0), one.batch.fields["prev_last_seq"])
    return heirs


def _forgotten(oracle: Oracle, ledger: Ledger, read: Sequence[Record]) -> set[tuple[str, bytes]]:
    """Epochs of which the journal holds more than the hello after them knows of, forged ones aside."""
    heirs = _heirs(read)
    return {
        (entry.gateway, entry.epoch)
        for entry in ledger.entries
        if entry.kind is EntryKind.BATCH
        and entry.payload not in oracle.forgeries
        and entry.seq > heirs.get((entry.gateway, entry.epoch), entry.seq)
    }


def _beginnings(gateway: str, read: Sequence[Record]) -> int:
    """How many epochs of a gateway began with nothing before them."""
    hellos = [one for one in read if one.entry.gateway == gateway and one.batch.header.kind == "hello"]
    return sum(not one.batch.fields["prev_ep"] for one in hellos)


def _returned(read: Sequence[Record]) -> set[str]:
    """Gateways of which two epochs came in turn, again and again, though one of them does not know the other."""
    heirs = _heirs(read)
    begun: set[tuple[str, bytes]] = set()
    latest: dict[str, bytes] = {}
    returns: dict[tuple[str, bytes], int] = {}
    for one in read:
        gateway, epoch = one.entry.gateway, one.entry.epoch
        if one.batch.header.kind == "hello":
            begun.add((gateway, one.batch.fields["prev_ep"]))
        elif (
            (gateway, epoch) in begun and one.entry.seq > heirs[gateway, epoch] and latest.get(gateway, epoch) != epoch
        ):
            returns[gateway, epoch] = returns.get((gateway, epoch), 0) + 1
        latest[gateway] = epoch
    # One more than the collector needs: it forgets what it has counted when it starts anew.
    return {gateway for (gateway, _), count in returns.items() if count > RETURNS * 4}
