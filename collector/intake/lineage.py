"""The epochs of one gateway: which follows which, and whether two of them live at the same time.

Every hello names the epoch before it and the last batch that the gateway's disk holds of it. Pure.
Rules of this file:

- a hello's claims are compared with what is held, at once or when the batch they name arrives; as in
  `chain`, what cannot be compared is no break;
- a batch above the last one that the next epoch knows of was written to a disk that forgot it: the
  disk lied. It is kept, as all others;
- that can go on only while the old process is still running. So when such batches come again and
  again, in turn with those of the epoch that does not know them, two machines have one identity.

Source: protocol 2.5, rows 4, 17, 18.
"""

from __future__ import annotations

from collections.abc import Iterable

from collector.intake.chain import Arrival, Chain, Finding
from collector.intake.events import What
from collector.intake.inbox import Inbox, Ranges
from collector.intake.records import Hello, said_in

# So often has an epoch to come back after another took over, until it is believed to be alive: what was
# on its way when a gateway died comes once, and after a broken connection perhaps twice.
RETURNS = 3
# Epochs remembered of one gateway.
_EPOCHS = 64


class Lineage:
    """The epochs of one gateway."""

    def __init__(self, gateway: str, inbox: Inbox, chain: Chain, begun: Iterable[str] = ()) -> None:
        """Starts from the hellos that the journal holds. begun: keys of replacements that have begun (hex)."""
        self._gateway, self._inbox, self._chain = gateway, inbox, chain
        self._begun = set(begun)
        self._hellos: dict[bytes, Hello] = {}
        for epoch in inbox.epochs(gateway)[-_EPOCHS:]:
            for payload in chain.payloads((gateway, epoch), 1):
                if (found := said_in(payload)) and found.hello:
                    self._hellos[epoch] = found.hello
        self._latest = b""
        self._returns: dict[bytes, int] = {}

    def check(self, arrival: Arrival) -> list[Finding]:
        """What a fresh batch shows."""
        epoch = arrival.stream[1]
        hello = arrival.said.hello if arrival.said else None
        found = self._hello(epoch, hello, arrival) if hello else self._batch(epoch, arrival)
        self._latest = epoch
        return found

    # --- a new epoch --------------------------------------------------------------------------------

    def _hello(self, epoch: bytes, hello: Hello, arrival: Arrival) -> list[Finding]:
        held = self._held(hello.prev_ep)
        twins = [other for other, its in self._hellos.items() if hello.prev_ep and its.prev_ep == hello.prev_ep]
        self._remember(epoch, hello)
        if not hello.prev_ep:
            return self._unchained(epoch, hello, arrival.said.replacement if arrival.said else "")
        found = []
        if arrival.said and arrival.said.prev != hello.prev_last_hash:
            found.append(self._break("its hello names two different batches as the last one of the epoch before"))
        elif hello.prev_last_seq in held:
            found += self._compare(hello, self._chain.hashes((self._gateway, hello.prev_ep), hello.prev_last_seq))
        if held.top > hello.prev_last_seq:
            found.append(self._lost(hello.prev_ep, held.top - hello.prev_last_seq))
        found += [self._lost(twin, self._held(twin).top) for twin in twins]
        return found

    def _unchained(self, epoch: bytes, hello: Hello, replacement: str) -> list[Finding]:
        # A second beginning, or one after others: epochs begin with a counter. In any order of arrival an honest
        # gateway has one beginning, before all others.
        earlier = any(other[:8] < epoch[:8] for other in self._inbox.epochs(self._gateway))
        if not earlier and all(its.prev_ep for other, its in self._hellos.items() if other != epoch):
            return []
        # One new machine explains one beginning, and the register has to know of it: the gateway's own word is none.
        if replacement and replacement not in self._begun:
            self._begun.add(replacement)
            text = f"gateway {self._gateway} was replaced; its chain of batches starts anew"
            return [Finding(What.REPLACED, text, {"key": replacement})]
        if hello.reason == "replaced":
            return [self._break("it says that it was replaced, and the register of identities knows nothing of that")]
        return [self._break("it starts as if it had never sent anything; was its outbox removed?")]

    def _compare(self, hello: Hello, hashes: Iterable[bytes]) -> list[Finding]:
        hashes = set(hashes)
        if not hashes or hello.prev_last_hash in hashes:
            return []
        return [
            self._break(f"its hello names another batch {hello.prev_last_seq} of the epoch before than was received")
        ]

    # --- a batch of an epoch ------------------------------------------------------------------------

    def _batch(self, epoch: bytes, arrival: Arrival) -> list[Finding]:
        heirs = [(other, hello) for other, hello in self._hellos.items() if hello.prev_ep == epoch]
        found = []
        for _, hello in heirs:
            if arrival.seq == hello.prev_last_seq:
                found += self._compare(hello, self._chain.hashes(arrival.stream, arrival.seq))
        if heirs and arrival.seq > max(hello.prev_last_seq for _, hello in heirs):
            found += self._beyond(epoch, 1)
        elif not heirs and self._overtaken(epoch):
            found += self._beyond(epoch, 0)
        return found

    def _overtaken(self, epoch: bytes) -> bool:
        """Whether another epoch started later from the same one, as if this one had never been."""
        before = self._hellos[epoch].prev_ep if epoch in self._hellos else b""
        names = list(self._hellos)
        return bool(before) and any(self._hellos[name].prev_ep == before for name in names[names.index(epoch) + 1 :])

    def _beyond(self, epoch: bytes, lost: int) -> list[Finding]:
        """A batch that the epoch after does not know of. lost: how many are newly found to be."""
        if self._latest == epoch:
            return []
        returns = self._returns[epoch] = self._returns.get(epoch, 0) + 1
        if returns == RETURNS:
            text = (
                f"gateway {self._gateway}: two machines send under this identity at the same time; everything is kept. "
                "Find the copy, and give one of them an identity of its own"
            )
            detail: dict[str, int | str] = {"other_epoch": self._latest.hex()}
            return [Finding(What.DUPLICATE_IDENTITY, text, detail)]
        return [self._lost(epoch, lost)] if lost and returns == 1 else []

    # --- shared -------------------------------------------------------------------------------------

    def _held(self, epoch: bytes) -> Ranges:
        return self._inbox.known((self._gateway, epoch)) if epoch else Ranges()

    def _remember(self, epoch: bytes, hello: Hello) -> None:
        self._hellos[epoch] = hello
        if len(self._hellos) > _EPOCHS:
            del self._hellos[next(iter(self._hellos))]

    def _break(self, why: str) -> Finding:
        return Finding(What.CHAIN_BREAK, f"gateway {self._gateway}: {why}")

    def _lost(self, epoch: bytes, batches: int) -> Finding:
        text = (
            f"gateway {self._gateway}: its disk lost {batches} batches that it had written and sent; they are safe "
            "here. Replace the card (or find its copy, if it was cloned)"
        )
        return Finding(What.DISK_LOST, text, {"lost_epoch": epoch.hex(), "batches": batches})
