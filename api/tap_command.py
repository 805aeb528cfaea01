"""`emitwatch tap`: what gateways publish, decoded, as JSON lines on standard output.

It listens beside the collector, acknowledges nothing and changes nothing. A line is one batch; what cannot
be decoded is a line too, saying why. `signed` tells what the trusted key of the gateway makes of it: true,
false, or null where the site files have no key.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import aiomqtt
import msgspec
import typer

from api.times import format_time
from api.views import batch_items
from collector.intake.gate import Trusted
from collector.proof.identities import RegisterBroken
from collector.proof.register_file import FILE as REGISTER
from collector.proof.register_file import load_register
from collector.settings import parse_collector
from collector.trust import trusted_now
from gateway import bundles, catalogue, seal, wire
from gateway.document import FaultyFiles
from gateway.settings import Site

KEEPALIVE_S = 20


def tap(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them.")],
    gateway: Annotated[str, typer.Option(help="Only this gateway.")] = "+",
    count: Annotated[int, typer.Option(min=0, help="End after so many batches; 0 = never.")] = 0,
    summary: Annotated[bool, typer.Option("--summary", help="Leave the measurements out.")] = False,
    cert: Annotated[Path | None, typer.Option(help="Its own client certificate, instead of that of [broker].")] = None,
    key: Annotated[Path | None, typer.Option(help="The key to --cert.")] = None,
) -> None:
    """Print decoded batches as JSON lines until Ctrl-C."""
    sites: Sequence[Site] = catalogue.load_sites(str(site))
    settings, faults = parse_collector(sites)
    if settings is None:
        raise FaultyFiles(faults)
    try:
        trusted = trusted_now(settings.trusted, load_register(Path(settings.folder) / REGISTER))
        sites = [_as(sites[0], cert, key), *sites[1:]]
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_follow(sites, trusted, gateway=gateway, count=count, summary=summary))
    except (aiomqtt.MqttError, RegisterBroken, OSError) as error:
        broker = sites[0].broker
        sys.stderr.write(f"{broker.url}: {error}\n    hint: check [broker] and whether the broker runs\n")
        raise typer.Exit(2) from error


def _as(site: Site, cert: Path | None, key: Path | None) -> Site:
    """The site with another client certificate at the broker, if one is given."""
    if cert is None:
        return site
    files: dict[str, Any] = {"cert": str(cert.resolve()), "key": str(key.resolve()) if key else ""}
    return replace(site, broker=replace(site.broker, **files))


async def _follow(
    sites: Sequence[Site], trusted: Mapping[str, Trusted], *, gateway: str, count: int, summary: bool
) -> None:
    async with _client(sites[0]) as client:
        await client.subscribe(wire.up_topic(gateway))
        seen = 0
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            for batch in _batches(payload):
                line = describe(batch, str(message.topic), trusted, summary=summary)
                sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
                sys.stdout.flush()
                seen += 1
                if seen == count:
                    return


def _batches(message: bytes) -> list[bytes]:
    """The batches in a message; one that cannot be taken apart is shown as it is."""
    try:
        return bundles.unpack(message)
    except wire.WireError:
        return [message]


def _client(site: Site) -> aiomqtt.Client:
    broker = site.broker
    password = Path(site.path(broker.password_file)).read_text("utf-8").strip() if broker.password_file else None
    context = None
    if broker.tls:
        context = ssl.create_default_context(cafile=site.path(broker.ca) if broker.ca else None)
        if broker.cert:
            context.load_cert_chain(site.path(broker.cert), site.path(broker.key) if broker.key else None)
    version = aiomqtt.ProtocolVersion.V5 if broker.protocol == "5" else aiomqtt.ProtocolVersion.V311
    return aiomqtt.Client(
        broker.host, broker.port, username=broker.user or None, password=password, protocol=version,
        keepalive=KEEPALIVE_S, tls_context=context,
    )  # fmt: skip


def describe(payload: bytes, topic: str, trusted: Mapping[str, Trusted], *, summary: bool = False) -> dict[str, Any]:
    """One published payload as a line."""
    gateway = topic.split("/")[2]
    line: dict[str, Any] = {"gateway": gateway, "bytes": len(payload), "signed": _signed(payload, gateway, trusted)}
    try:
        batch = wire.decode(payload[1 + seal.SIGNATURE_BYTES :])
    except wire.WireError as error:
        return line | {"fault": str(error)}
    header = batch.header
    line |= {
        "plant": header.plant, "epoch": header.ep.hex(), "seq": header.seq, "kind": header.kind, "n": header.n,
        "low": header.low, "sealed": format_time(header.wall_ns), "clock": header.clk.state,
    }  # fmt: skip
    return line if summary else line | {"measurements": batch_items(batch.columns)}


def _signed(payload: bytes, gateway: str, trusted: Mapping[str, Trusted]) -> bool | None:
    key = trusted[gateway].key if gateway in trusted else None
    if key is None:
        return None
    try:
        seal.verify(payload, key)
    except seal.SealError:
        return False
    return True
