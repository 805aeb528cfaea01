"""Our links against servers that others wrote: pyModbusTCP, modbus-tk (TCP and RTU), modbus-serial of npm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import modbus_tk.defines as tk
import pytest
import serial
from modbus_tk.modbus import Databank
from modbus_tk.modbus_rtu import RtuServer
from modbus_tk.modbus_tcp import TcpServer
from pyModbusTCP.server import DataBank, ModbusServer

from gateway.links.address import Link
from gateway.links.link import Refused
from gateway.links.open import open_link
from gateway.registers import Block
from tests.gateway.lines import word
from tests.gateway.ports import free_port, wait_for_port

UNIT, SIZE = 1, 2100
WORDS = [word(UNIT, address) for address in range(SIZE)]
BITS = [w & 1 for w in WORDS]
BLOCKS = [
    *(Block(fc, address, count) for fc in (3, 4) for address, count in ((0, 1), (7, 2), (100, 125))),
    *(Block(fc, address, count) for fc in (1, 2) for address, count in ((0, 1), (5, 13), (64, 2000))),
]  # fmt: skip
REFUSED = Block(3, 60000, 4)  # none of them has it


def _python(port: int) -> ModbusServer:
    bank = DataBank(coils_size=SIZE, d_inputs_size=SIZE, h_regs_size=SIZE, i_regs_size=SIZE)
    bank.set_coils(0, BITS)
    bank.set_discrete_inputs(0, BITS)
    bank.set_holding_registers(0, WORDS)
    bank.set_input_registers(0, WORDS)
    return ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)


def _fill(server: TcpServer | RtuServer) -> None:
    unit = server.add_slave(UNIT)
    kinds = (tk.COILS, BITS), (tk.DISCRETE_INPUTS, BITS), (tk.HOLDING_REGISTERS, WORDS), (tk.ANALOG_INPUTS, WORDS)
    for kind, values in kinds:
        unit.add_block(str(kind), kind, 0, SIZE)
        unit.set_values(str(kind), 0, values)


@contextmanager
def pymodbustcp(folder: Path) -> Iterator[Link]:
    """pyModbusTCP, a server of threads."""
    server = _python(port := free_port())
    server.start()
    try:
        yield Link(kind="tcp", address="127.0.0.1", port=port, unit=UNIT)
    finally:
        server.stop()


@contextmanager
def modbus_tk_tcp(folder: Path) -> Iterator[Link]:
    """modbus-tk on TCP."""
    server = TcpServer(port := free_port(), "127.0.0.1", databank=Databank())
    _fill(server)
    server.start()
    wait_for_port(port)  # its thread binds, some time after start
    try:
        yield Link(kind="tcp", address="127.0.0.1", port=port, unit=UNIT)
    finally:
        server.stop()


@contextmanager
def modbus_tk_rtu(folder: Path) -> Iterator[Link]:
    """modbus-tk on a serial line: two pseudo-terminals, and what comes out of one goes into the other."""
    with wired() as (ours, theirs):
        server = RtuServer(serial.Serial(theirs, 115200), databank=Databank())
        _fill(server)
        server.start()
        try:
            yield Link(kind="rtu", address=ours, port=0, unit=UNIT)
        finally:
            server.stop()


@contextmanager
def wired() -> Iterator[tuple[str, str]]:
    """The names of both ends of a serial line."""
    ends = [os.openpty() for _ in range(2)]
    for end in (fd for pair in ends for fd in pair):
        tty.setraw(end)
    carriers = [
        subprocess.Popen(["cat"], stdin=ends[i][0], stdout=ends[1 - i][0], stderr=subprocess.DEVNULL) for i in range(2)
    ]
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        for carrier in carriers:
            carrier.kill()
            carrier.wait()
        for end in (fd for pair in ends for fd in pair):
            os.close(end)


@contextmanager
def modbus_serial(node_modules: Path) -> Iterator[Link]:
    """modbus-serial of npm's."""
    script = Path(__file__).parent / "modbus_serial.js"
    command, port = ["node", str(script)], free_port()
    process = subprocess.Popen(
        [*command, str(port)], env={**os.environ, "NODE_PATH": str(node_modules)}, stdout=subprocess.PIPE, text=True
    )
    with process, contextlib.ExitStack() as end:
        end.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Link(kind="tcp", address="127.0.0.1", port=port, unit=UNIT)


SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Link]]] = {
    "pyModbusTCP": pymodbustcp, "modbus-tk, TCP": modbus_tk_tcp, "modbus-tk, RTU": modbus_tk_rtu,
    "modbus-serial": modbus_serial,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modbus-tk
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_others_wrote_is_read(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue("node_modules") if name == "modbus-serial" else tmp_path
    with SERVERS[name](folder) as address:

        async def read() -> None:
            link = open_link(address)
            for block in 3 * BLOCKS:
                found = await link.read(UNIT, block, timeout_s=5.0)
                want = (BITS if block.fc < 3 else WORDS)[block.address : block.address + block.count]
                assert found.tolist() == want, block
            if name != "modbus-serial":  # it holds every register there is
                with pytest.raises(Refused, match="exception 2"):
                    await link.read(UNIT, REFUSED, timeout_s=5.0)
            assert len(await link.read(UNIT, BLOCKS[0], timeout_s=5.0)) == 1
            link.close()
            await asyncio.sleep(0.01)

        asyncio.run(read())
