"""A collector's data folder with three hours of two plants in it, and exports of it to tamper with."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from api.cli import main
from collector.authors import Author
from collector.intake.journal import Journal
from collector.marks import Filed, Kind, Mark, Named, filed, sign
from collector.proof import verifier
from collector.proof.identities import Record
from collector.proof.leaf_file import LeafFile
from collector.proof.notary import Notary
from collector.proof.register_file import FILE, append, load_register
from collector.registrar import Registrar
from collector.store import Entry, EntryKind
from gateway import seal, wire
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Columns, Series, empty_columns
from gateway.settings import Label
from tests.collector.batches import START_NS, FakeGateway, columns

MINUTE_NS = 60 * SECOND_NS
PLANTS = ("riverside", "harbour")
EPOCHS = tuple(number.to_bytes(8, "big") + b"randomly" for number in (1, 2))
SITE = """
[plant]
id = "{plant}"
timezone = "Asia/Shanghai"
data_dir = "{data}"
[broker]
url = "mqtt://127.0.0.1:1883"
user = "u"
[collector]
public_key = "{collector}"
[[gateway]]
id = "{plant}-gw"
public_key = "{key}"
[[point]]
id = "fence-north"
kind = "noise"
rules = ["gb12348-2008"]
settings = {{ area_class = 2 }}
[[sensor]]
id = "slm-north"
point = "fence-north"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
[[author]]
id = "li.na"
role = "plant"
public_key = "{author}"
"""
AUTHOR = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


@dataclass
class Chained:
    """A gateway whose batches form the chain that real ones form."""

    plant: str
    gateway: FakeGateway = field(init=False)
    last: bytes = b""
    before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seed = hashlib.sha256(self.plant.encode()).digest()
        self.gateway = FakeGateway(
            f"{self.plant}-gw", self.plant, EPOCHS[0], Ed25519PrivateKey.from_private_bytes(seed)
        )

    def restart(self) -> None:
        self.before = {"prev_ep": self.gateway.epoch, "prev_last_seq": self.gateway.seq,
                       "prev_last_hash": seal.digest(self.last)}  # fmt: skip
        self.gateway.epoch, self.gateway.seq = EPOCHS[1], 0

    def batch(self, values: Columns, received_ns: int, **changes: Any) -> Entry:
        gateway = self.gateway
        gateway.seq += 1
        fields = self.before if gateway.seq == 1 else {}
        said = {"prev": seal.digest(self.last) if self.last else wire.NO_HASH, "low": gateway.seq, **changes}
        fields = {**fields, **said.pop("fields", {})}
        body = wire.encode(gateway.header(len(values), **said), values, fields)
        self.last = seal.seal(body, gateway.key)
        return gateway.entry(self.last, received_ns)


def noise(plant: str, minute: int) -> Columns:
    table = tuple(Series(plant, *one) for one in (("fence-north", "slm-north", "LAeq", "dB(A)"),
                                                  ("stack-1", "cems-1", "NOx", "mg/m3")))  # fmt: skip
    return columns(12, from_ns=START_NS + minute * MINUTE_NS, series=table)


MARKS: tuple[list[dict[str, Any]], ...] = (
    [{"kind": Kind.INVALID, "reason": "a crow on the microphone"}],
    [{"kind": Kind.REVOCATION, "reason": "it was a magpie"},
     {"kind": Kind.CORRECTION, "reason": "wrong calibrator", "parameter": "LAeq", "offset": -1.0}],
    [{"kind": Kind.NOTE, "reason": "=cmd()"}],
)  # fmt: skip


class NoBook:
    """A book of verdicts that was not begun."""

    def cursor(self) -> int:
        return 0

    def marks(self) -> list[Filed]:
        return []


@dataclass
class House:
    """A collector's folder. `hours` of batches are in the journal, all but the last hour in the trees.

    marked: at the end of each hour somebody says something of the plant harbour: `said`.
    """

    folder: Path
    hours: int = 3
    marked: bool = False
    said: tuple[list[dict[str, Any]], ...] = MARKS
    gateways: dict[str, Chained] = field(default_factory=lambda: {plant: Chained(plant) for plant in PLANTS})

    def __post_init__(self) -> None:
        self.collector = self.folder / "data" / "collector"
        self.key, _ = load_or_create_key(self.collector / "key")
        self.sites = self.folder / "sites"
        self.sites.mkdir()
        for plant, chained in self.gateways.items():
            text = SITE.format(plant=plant, data=self.folder / "data", collector=public_hex(self.key),
                               key=public_hex(chained.gateway.key), author=public_hex(AUTHOR))  # fmt: skip
            (self.sites / f"{plant}.toml").write_text(text)
        with closing(Journal(self.collector / "journal")) as journal, closing(LeafFile(self.tree)) as leaves:
            notary = self.notary(journal, leaves)
            for hour in range(self.hours):
                journal.append(self.entries(hour))
                if self.marked:
                    self.mark(journal, hour)
                if hour < self.hours - 1:
                    notary.take(journal.read(notary.position, 10_000))

    def notary(self, journal: Journal, leaves: LeafFile) -> Notary:
        """A notary of this house, which names the register as it is at each checkpoint."""
        return Notary(
            journal, leaves, self.collector / "checkpoints", self.key,
            register=lambda: load_register(self.register).anchor,
        )  # fmt: skip

    @property
    def register(self) -> Path:
        return self.collector / FILE

    def identify(self, *records: Record) -> None:
        """Add records to the register of identities."""
        for record in records:
            append(self.register, load_register(self.register), record)

    @property
    def tree(self) -> Path:
        return self.collector / "tree.db"

    def entries(self, hour: int) -> list[Entry]:
        """A batch of each plant every ten minutes, then a tick."""
        made = []
        for minute in range(60 * hour, 60 * hour + 60, 10):
            received_ns = START_NS + minute * MINUTE_NS
            for plant, chained in self.gateways.items():
                if minute == 90 and plant == "riverside":
                    chained.restart()
                first = chained.gateway.seq == 0
                values = empty_columns() if first else noise(plant, minute)
                made.append(chained.batch(values, received_ns))
            made.append(Entry(0, received_ns + SECOND_NS, EntryKind.TICK))
        return made

    def mark(self, journal: Journal, hour: int) -> None:
        """What is said after an hour: it was invalid; it was not, but has to be corrected; a note."""
        now_ns = journal.received_ns + SECOND_NS

        def file(entry: Entry) -> Future[int]:
            done: Future[int] = Future()
            done.set_result(journal.append([replace(entry, received_ns=now_ns)]))
            return done

        authors = {("harbour", "li.na"): Author(id="li.na", name=Label("", ""), role="plant",
                                                public_key=public_hex(AUTHOR))}  # fmt: skip
        registrar = Registrar(journal=journal, book=NoBook(), authors=authors, points={("harbour", "fence-north")},
                              file=file, now_ns=lambda: now_ns)  # fmt: skip
        span = (START_NS, START_NS + 30 * MINUTE_NS)
        for more in self.said[hour]:
            basis = registrar.basis("harbour", *span)
            old, named = basis.old, None
            if more["kind"] is Kind.REVOCATION:
                first = filed(journal.marks(0, 1)[0])
                old, named = first.mark.old, Named(first.position, first.sha256)
            made = Mark(plant="harbour", point="fence-north", from_ns=span[0], to_ns=span[1], author="li.na",
                        role="plant", made_ns=now_ns, old=old, prev=basis.prev, revokes=named, **more)  # fmt: skip
            registrar.take(sign(made, AUTHOR))

    def export(self, name: str = "export.zip", *arguments: str) -> Path:
        out = self.folder / name
        assert main(["export", str(self.sites), "--out", str(out), *arguments]) == 0
        return out

    def journal_file(self) -> Path:
        return next((self.collector / "journal").glob("*.db"))


def verify(file: Path, capsys: Any, *arguments: str) -> tuple[int, str]:
    """Exit code and words of the verifier."""
    capsys.readouterr()
    code = verifier.main([str(file), *arguments])
    return code, capsys.readouterr().out


def alone(file: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The verifier copied out and run where nothing of emitwatch can be imported."""
    copy = folder / "verifier.py"
    copy.write_bytes(Path(verifier.__file__).read_bytes())
    code = (
        "import runpy, sys\n"
        "allowed = {'cryptography', '_cffi_backend', 'cffi'} | set(sys.stdlib_module_names)\n"
        "class Guard:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] not in allowed: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return subprocess.run([sys.executable, "-c", code, copy, file], cwd=folder, capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip


# --- tampering -------------------------------------------------------------------------------------


class Opened:
    """An export taken apart: change `files`, then write it again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with zipfile.ZipFile(file) as bundle:
            self.files = {name: bundle.read(name) for name in bundle.namelist()}

    def table(self, name: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.files[name].decode(), newline="")))

    def put(self, name: str, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self.files[name] = text.getvalue().encode()

    def write(self, signer: Ed25519PrivateKey | None = None) -> Path:
        """Write it again; with a signer, manifest and signature are made to fit, as who has the key could."""
        if signer is not None:
            manifest = json.loads(self.files["manifest.json"])
            manifest["files"] = {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in self.files.items()
                if name not in ("manifest.json", "manifest.sig")
            }
            raw = json.dumps(manifest).encode()
            self.files["manifest.json"] = raw
            self.files["manifest.sig"] = signer.sign(b"em/export" + raw).hex().encode()
        out = self.file.with_name(f"tampered-{self.file.name}")
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in self.files.items():
                bundle.writestr(name, content)
        return out
