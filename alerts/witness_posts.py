"""The ways a checkpoint takes to a witness: into a folder, over HTTPS, by mail.

Contradiction     the witness holds what this collector's tree does not continue: somebody has to look
egress.NotSent    it did not take it
egress.Unclear    nobody knows; the same checkpoint may be sent again without harm
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from alerts import egress
from alerts.channels.email import EmailChannel
from alerts.egress import NotSent
from alerts.witness_settings import WitnessSettings
from collector.proof.checkpoint import Checkpoint
from collector.proof.cosignature import LINE, cosigned
from collector.proof.leaf_file import ProofError
from collector.proof.note_file import complete
from collector.proof.witness import CALL, Request

MAILED_MAX = 800  # checkpoints in one mail: a month of hours, 250 kB


class Contradiction(Exception):
    """What a witness holds and this collector's tree cannot both be true; says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a witness is to get.

    notes: the checkpoints that it does not have yet, in order; the last one is `newest`. old: the size of the tree it
    has, 0 = none. prove: gives the hashes that lead from a size to the newest tree. all_notes: gives every checkpoint.
    """

    plant: str
    notes: Sequence[str]
    newest: Checkpoint
    old: int
    prove: Callable[[int], list[bytes]]
    all_notes: Callable[[], Sequence[str]]


class Post(Protocol):
    """A way to a witness."""

    def deliver(self, delivery: Delivery) -> str:
        """Hand checkpoints over; the lines that the witness has signed them with, "" where it signs nothing."""


def post_of(settings: WitnessSettings) -> Post:
    """The way to a witness."""
    kinds: dict[str, Callable[[WitnessSettings], Post]] = {"file": _Folder, "https": _Https, "email": _Mail}
    return kinds[settings.kind](settings)


class _Folder:
    """A folder that somebody else keeps: a share of the authority's, a disk that is taken away."""

    def __init__(self, settings: WitnessSettings) -> None:
        self._folder = Path(settings.path)

    def deliver(self, delivery: Delivery) -> str:
        path = self._folder / f"{delivery.plant}.txt"
        if not self._folder.is_dir():  # never made: a disk that is not mounted must not be taken for one that is
            raise NotSent(f"{self._folder}: there is no such folder; is it mounted?")
        try:
            complete(path, "".join(f"{note}\n" for note in delivery.all_notes()))
        except ProofError as error:
            raise Contradiction(f"{path}: {error}") from error
        except (OSError, ValueError) as error:
            raise NotSent(f"{path}: {error}") from error
        return ""


class _Https:
    """A witness that answers (C2SP tlog-witness), or anything that takes a POST in."""

    def __init__(self, settings: WitnessSettings) -> None:
        self._settings = settings
        self._host = urlsplit(settings.url).hostname

    def deliver(self, delivery: Delivery) -> str:
        status, text = self._ask(delivery, delivery.old)
        held = int(text) if status == 409 and text.strip().isdigit() else None
        if held is not None and held <= delivery.newest.size and held != delivery.old:
            status, text = self._ask(delivery, held)
        if 200 <= status < 300:
            return self._signed(delivery, text)
        said = f"{self._host} answers {status}: {text.strip()[:200]}"
        if status in (409, 422):
            raise Contradiction(
                f"{said}: it has seen another history of plant {delivery.plant} than the {delivery.newest.size} "
                "batches here"
            )
        if status in (403, 404):
            said += "; does it know this collector's public key?"
        raise NotSent(said)

    def _ask(self, delivery: Delivery, old: int) -> tuple[int, str]:
        old = min(old, delivery.newest.size)
        request = Request(old, delivery.prove(old), delivery.notes[-1])
        status, answer = egress.ask(
            f"{self._settings.url}/{CALL}", request.text().encode(),
            {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "emitwatch"},
            allow_private=self._settings.allow_private, ca=self._settings.ca,
        )  # fmt: skip
        return status, answer.decode("utf-8", "replace")

    def _signed(self, delivery: Delivery, answer: str) -> str:
        """The lines of an answer that are signatures: the witness's own, where its key is known."""
        lines = [f"\N{EM DASH} {name} {packed}\n" for name, packed in LINE.findall(answer)]
        if self._settings.key is None:
            return "".join(lines[:8])
        text = delivery.newest.text()
        good = [line for line in lines if cosigned(text, line, self._settings.key) is not None]
        if not good:
            raise NotSent(f"{self._host} took it, and its answer is not signed by {self._settings.key}")
        return "".join(good)


class _Mail:
    """A mailbox; what was sent lies there, beyond the collector's reach."""

    def __init__(self, settings: WitnessSettings) -> None:
        assert settings.channel, "an e-mail witness has a channel"
        self._address, self._sender = settings.address, settings.channel.sender
        self._channel = EmailChannel(settings.channel)

    def deliver(self, delivery: Delivery) -> str:
        self._channel.post(compose(delivery, self._sender, self._address), self._address)
        return ""


def compose(delivery: Delivery, sender: str, address: str) -> EmailMessage:
    """The mail of some checkpoints: the notes as one attachment, the newest with its proof as another."""
    newest, notes = delivery.newest, delivery.notes[-MAILED_MAX:]
    request = Request(delivery.old, delivery.prove(delivery.old), notes[-1]).text()
    message = EmailMessage()
    message["From"] = Address("emitwatch", *sender.rsplit("@", 1))
    message["To"] = Address("", *address.rsplit("@", 1))
    message["Subject"] = f"emitwatch checkpoint: plant {delivery.plant}, {newest.size} batches"
    message["Message-ID"] = f"<{newest.root.hex()[:32]}.{newest.position}@{sender.rsplit('@', 1)[1]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        f"What plant {delivery.plant} had measured by now cannot be changed any more without this mail showing it.\n"
        f"Keep it. To prove an export: emitwatch verify EXPORT --witness {delivery.plant}-{newest.size}.txt\n\n"
        f"{notes[-1]}"
    )
    for name, text in (("txt", "".join(f"{note}\n" for note in notes)), ("proof", request)):
        message.add_attachment(text.encode(), maintype="application", subtype="octet-stream",
                               filename=f"{delivery.plant}-{newest.size}.{name}")  # fmt: skip
    return message
