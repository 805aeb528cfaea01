"""The console command: a table of names, each imported only when its command runs.

That keeps the layers apart (no import statement reaches downstream), lets the bare install, which is
the gateway, run without the libraries of the server, and keeps its process small. Rules of this file:

- it knows names, one line of help each and how a command is called, nothing of what commands do;
- faults in files, missing libraries and a pressed Ctrl-C end with a sentence and an exit code, never
  with a traceback: 1 = the command looked and found something wrong, 2 = it could not be run,
  130 = interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO, cast

from gateway.document import FaultyFiles

# Import names of what the extras install, to tell "not installed" from a fault of ours.
EXTRAS = {
    "server": {
        "aiomqtt", "amqtt", "duckdb", "fastapi", "httpx", "nacl", "prometheus_client", "pydantic", "reportlab",
        "starlette", "tomli_w", "uvicorn",
    },
    "influxdb": {"influxdb_client"},
}  # fmt: skip
INTERRUPTED = 130
OWN_PACKAGES = {"gateway", "collector", "alerts", "api", "simulators", "grafana"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the table.

    target: "module:attribute"; empty = not built yet. plain: the attribute is a function of the
    arguments that returns an exit code; otherwise a Typer application or a function for one.
    """

    help: str
    target: str = ""
    plain: bool = False


COMMANDS = {
    "init": Command("write a first site file, from a list of instruments or questions", "gateway.init_command:init"),
    "demo": Command("run a whole simulated plant, from register to page", "simulators.demo:demo"),
    "check": Command("find every fault in a site file or a folder of them", "api.check_command:check"),
    "run": Command("run a part: gateway, or all the rest", "api.run_command:main", plain=True),
    "profiles": Command("device profiles: list, show, check, try", "gateway.profiles_command:app"),
    "rules": Command("rule packs: list, show, check", "collector.rules_command:app"),
    "conformance": Command("run worked examples of the standards", "collector.conformance_command:conformance"),
    "judge": Command("judge a CSV file offline", "collector.judge_command:judge"),
    "quality": Command("what calibrations and tests of measuring systems come to", "collector.quality_command:quality"),
    "simulate": Command("serve every sensor of a site over Modbus", "simulators.simulate_command:simulate"),
    "status": Command("how a running gateway is, on its own machine", "gateway.status_command:status"),
    "health": Command("how a running collector is, on its own machine", "api.health_command:health"),
    "loopcheck": Command("follow a known value from the instrument to the page", "api.loopcheck_command:loopcheck"),
    "tap": Command("print decoded batches as JSON lines", "api.tap_command:tap"),
    "mark": Command("say of measurements what they are worth, signed", "api.mark_command:main", plain=True),
    "swap": Command("record that a sensor has another instrument, signed", "api.swap_command:swap"),
    "soundcheck": Command("hold a sound level meter against its calibrator", "api.soundcheck_command:soundcheck"),
    "sheet": Command("the acceptance sheet of a point, its hash in the journal", "api.sheet_command:sheet"),
    "probe": Command("look into an instrument: units, registers, what they may mean", "gateway.probe_command:probe"),
    "world": Command("simulate the whole line from seeds, under every fault", "simulators.world_command:world"),
    "hj212": Command("decode and encode HJ 212 frames"),
    "request": Command("give a gateway keys that stay on it, and a request to sign", "gateway.request_command:request"),
    "enroll": Command("give a gateway its identity, or take it away", "collector.proof.enroller:enroll"),
    "export": Command("write measurements with their proof, or hash them", "collector.export_command:export"),
    "verify": Command("prove that an export was not altered", "collector.proof.verifier:main", plain=True),
    "backup": Command("copy what the collector keeps, while it runs", "collector.backup_command:backup"),
    "witness": Command("hold collectors' checkpoints and sign them", "collector.proof.witness_command:witness"),
    "rebuild": Command("build the store anew from the journal", "collector.rebuild_command:rebuild"),
    "journal": Command("the journal's months: list, seal, archive, attach, expire", "collector.journal_command:app"),
    "grafana": Command("push the dashboards into a Grafana that runs", "grafana.push:app"),
    "quarantine": Command(
        "list what is in quarantine, and take in what can be read by now", "collector.quarantine_command:quarantine"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the table; the exit code."""
    if arguments is not None:
        return _command(list(arguments))
    code = _command(sys.argv[1:])
    if code == INTERRUPTED:
        # A second Ctrl-C must not kill the interpreter while it closes, for the exit code would be lost.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _command(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        _say(usage(), sys.stdout)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        _say(f"emitwatch {_version()}", sys.stdout)
        return 0
    name, rest = words[0], words[1:]
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean `emitwatch {near[0]}`?" if near else "`emitwatch --help` lists the commands"
        return _refuse(f"{name!r} is not a command", hint)
    if not command.target:
        return _refuse(
            f"emitwatch {name}: {command.help} - not built yet in version {_version()}",
            "CHANGELOG.md says what each version brings",
        )
    try:
        return _run(name, command, rest)
    except FaultyFiles as error:
        count = len(error.faults)
        _say(f"{error}\n{count} fault{'s' if count != 1 else ''}; nothing was started", sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        return _missing_library(name, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); the interpreter must not complain about it at exit either.
        sys.stdout = sys.stderr
        return 0


def usage() -> str:
    """What `emitwatch --help` prints."""
    ready = [(name, command.help) for name, command in COMMANDS.items() if command.target]
    later = ", ".join(name for name, command in COMMANDS.items() if not command.target)
    lines = [
        "Usage: emitwatch COMMAND ...",
        "",
        "Watches what industrial plants let out: noise, stack gas, waste water.",
        "",
        "Commands (`emitwatch COMMAND --help` says more):",
        *(f"  {name:<12} {help}" for name, help in ready),
        "",
        f"Not built yet: {later}",
    ]
    return "\n".join(lines)


def _run(name: str, command: Command, arguments: list[str]) -> int:
    module, _, attribute = command.target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if command.plain:
        return cast("Callable[[list[str]], int]", target)(arguments)
    return _run_typer(name, target, arguments)


def _run_typer(name: str, target: object, arguments: list[str]) -> int:
    import typer

    if isinstance(target, typer.Typer):
        app = target
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name)(cast("Callable[..., object]", target))
    try:
        app(arguments, prog_name=f"emitwatch {name}")
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        raise
    return 0


def _missing_library(name: str, error: ModuleNotFoundError) -> int:
    library = (error.name or "").partition(".")[0]
    for extra, libraries in EXTRAS.items():
        if library in libraries:
            return _refuse(
                f"emitwatch {name} needs the {extra} extra ({library} is not installed)",
                f"pip install 'emitwatch[{extra}]'",
            )
    if library in OWN_PACKAGES and error.name and name in COMMANDS:
        return _refuse(f"emitwatch {name}: this install has no {error.name}", "pip install 'emitwatch[all]'")
    raise error


def _refuse(message: str, hint: str) -> int:
    _say(f"{message}\n    hint: {hint}", sys.stderr)
    return 2


def _say(text: str, stream: TextIO) -> None:
    stream.write(text + "\n")
    stream.flush()


def _version() -> str:
    try:
        return version("emitwatch")
    except PackageNotFoundError:
        return "0 (not installed)"


if __name__ == "__main__":
    sys.exit(main())
