"""A witness on 127.0.0.1, with TLS by an authority of its own."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from collector.intake.journal import Journal
from collector.proof.certificates import Request, issue_server, make_authority
from collector.proof.leaf_file import LeafFile
from collector.proof.witness_command import Witness, WitnessServer
from gateway.identity import public_hex, public_key
from tests.collector.proof.kit import House


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority's certificate, and a server's TLS by it."""
    now_ns = time.time_ns()
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signer = make_authority(root, name="tests", serial=1, now_ns=now_ns)
    request = Request(public=key.public_key(), serial=2, now_ns=now_ns, days=9)
    certificate = issue_server(signer, request, hosts=["127.0.0.1"])
    (folder / "ca.pem").write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    return folder / "ca.pem", tls


@contextmanager
def served(
    folder: Path, house: House, tls: ssl.SSLContext | None = None, *, collectors: Sequence[str] = (), port: int = 0
) -> Iterator[WitnessServer]:
    """A witness of a house's collector that answers."""
    keys = {hex[:16]: public_key(hex) for hex in collectors or [public_hex(house.key)]}
    folder.mkdir(exist_ok=True)
    with WitnessServer(("127.0.0.1", port), Witness(folder, "witness.example", keys), tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


def go_on(house: House, *hours: int) -> None:
    """More hours of batches, in the journal and in the trees."""
    with closing(Journal(house.collector / "journal")) as journal, closing(LeafFile(house.tree)) as leaves:
        notary = house.notary(journal, leaves)
        notary.take(journal.read(notary.position, 10_000))
        for hour in hours:
            journal.append(house.entries(hour))
            notary.take(journal.read(notary.position, 10_000))
