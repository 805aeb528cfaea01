"""The services of docker-compose.yml as plain processes: their own commands, users, variables, files and health checks.

What containers are given by an engine is given here by hand: each volume is a folder, nested ones are linked into
the outer ones; a path of a container is replaced by the folder that lies there; names of services become 127.0.0.1
and their ports free ones. InfluxDB 2.7 is not to be had: Debian's 1.6 stands in for it, behind a proxy that looks like
2.7, with the organization, bucket and token of the compose file. Where the tests run as root and everybody may read
the interpreter, all run as the containers' user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.compose_file import ROOT, command_of, compose, mounts, secrets_of
from tests.gateway.ports import free_port

USER = 10001
PORTS = (8883, 8080, 5021, 5022, 5024)
NESTED = {"collector/collector/broker": "broker", "broker/state": "broker-state"}
IMAGE_FOLDERS = ("collector/collector", "gateway", "broker", "broker-state", "backups")


def user() -> int | None:
    """The containers' user, where processes can be run as it; None = whoever runs the tests."""
    if os.geteuid():
        return None
    probe = [sys.executable, "-c", "import numpy, sys; sys.path.insert(0, sys.argv[1]); import api.cli", str(ROOT)]
    try:
        done = subprocess.run(probe, user=USER, group=USER, extra_groups=[], cwd="/", capture_output=True, check=False)
    except OSError:
        return None
    return None if done.returncode else USER


class Stack:
    """A folder with everything the services have. influxdb: host:port of what stands in for it."""

    def __init__(self, folder: Path, influxdb: str) -> None:
        self.folder, self.user = folder, user()
        self.services: dict[str, Any] = compose()["services"]
        self.ports = {port: free_port() for port in PORTS}
        here = dict.fromkeys(("mosquitto", "simulator", "0.0.0.0"), "127.0.0.1")
        self._places = {"influxdb:8086": influxdb, **here}
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self.volumes, self.logs = folder / "volumes", folder / "logs"
        for name in (*IMAGE_FOLDERS, "../logs", "../bin"):
            (self.volumes / name).mkdir(parents=True)
        for inner, volume in NESTED.items():
            (self.volumes / inner).symlink_to(self.volumes / volume)
        shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets", "site"))
        (folder / "deploy" / "prepare").chmod(0o755)
        subprocess.run([folder / "deploy" / "prepare"], check=True, capture_output=True)
        for name, words in (("emitwatch", "-m api.cli "), ("python", "")):
            (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
            (folder / "bin" / name).chmod(0o755)
        for service in self.services:
            (folder / "etc" / service).mkdir(parents=True)
        self.place_site()

    @property
    def site(self) -> Path:
        """The site file as a person edits it."""
        return self.folder / "deploy" / "site" / "site.toml"

    def place_site(self) -> None:
        """Give every service the site file, as it is now."""
        for service in self.services:
            (self.folder / "etc" / service / "site.toml").write_text(self.translated(service, self.site.read_text()))
        if self.user:
            for path in (self.volumes, *self.volumes.rglob("*")):
                os.chown(path, self.user, self.user, follow_symlinks=False)

    def _laid(self, service: str) -> dict[str, str]:
        """What lies where in a service's container: path there -> path here."""
        found = {}
        for mount in mounts(self.services[service]):
            here = self.volumes / mount.source if mount.named else self.folder / mount.source
            found[mount.target] = str(self.folder / "etc" / service if mount.source == "./deploy/site" else here)
        for name in secrets_of(self.services[service]):
            found[f"/run/secrets/{name}"] = str(self.folder / "deploy" / "secrets" / name)
        return found

    def translated(self, service: str, text: str) -> str:
        """A text of a service's container in the terms of this machine; each place in it is looked at once."""
        laid = self._laid(service)
        known = {**laid, **self._places, **{str(port): str(own) for port, own in self.ports.items()}}

        def any_of(names: Iterable[str]) -> str:
            return "|".join(re.escape(one) for one in sorted(names, key=len, reverse=True))

        # A path may go on; a name or a number is a word of its own, or that of an address.
        paths = rf"(?<![\w.-])(?:{any_of(laid)})(?![\w-])"
        words = rf"(?:(?<=//)|(?<![\w./-]))(?:{any_of(set(known) - set(laid))})(?![\w./-])"
        return re.sub(f"{paths}|{words}", lambda found: known[found[0]], text)

    def command(self, service: str, words: Sequence[str] | None = None) -> list[str]:
        """What a service starts, here. words: instead of its command, as `docker-compose run` takes them."""
        one = self.services[service]
        whole = command_of(one if words is None else {**one, "command": list(words)})
        return self._words(service, whole)

    def _words(self, service: str, whole: Sequence[str]) -> list[str]:
        """A command here: a program keeps its name, which may be a service's."""
        return [whole[0], *(self.translated(service, word) for word in whole[1:])]

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service's container, here."""
        own: Mapping[str, str] = self.services[service].get("environment", {})
        path = f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/bin"
        base = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        base |= {"LOGNAME": "emitwatch", "HOME": str(self.folder), "PYTHONWARNINGS": "default"}
        return base | {name: self.translated(service, value) for name, value in own.items()}

    def _how(self, service: str) -> dict[str, Any]:
        how: dict[str, Any] = {"env": self.environment(service), "cwd": self.folder, "stdin": subprocess.DEVNULL}
        return how | ({"user": self.user, "group": self.user, "extra_groups": []} if self.user else {})

    def run(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """What `docker-compose run --rm SERVICE WORDS` does, to its end."""
        return subprocess.run(
            self.command(service, words or None), **self._how(service), capture_output=True, text=True, check=False
        )

    def start(self, service: str) -> None:
        """Start a service."""
        with (self.logs / f"{service}.log").open("ab") as log:
            self._started[service] = subprocess.Popen(
                self.command(service), **self._how(service), stdout=log, stderr=log
            )

    def healthy(self, service: str) -> bool:
        """What a service's own health check says now."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        whole = self._words(service, ["sh", "-c", *words] if kind == "CMD-SHELL" else words)
        done = subprocess.run(whole, **self._how(service), capture_output=True, timeout=120, check=False)
        with (self.logs / f"{service}.health").open("ab") as log:
            log.write(b"%d %b %b\n" % (done.returncode, done.stdout, done.stderr))
        return done.returncode == 0

    def until(self, what: str, condition: Callable[[], bool], within_s: float = 240.0) -> None:
        """Wait until something holds; what services said is shown where it does not."""
        end = time.monotonic() + within_s
        while not condition():
            ended = [name for name, process in self._started.items() if process.poll() is not None]
            assert not ended, f"{ended} ended while waiting: {what}\n{self.said()}"
            assert time.monotonic() < end, f"{what}: not within {within_s:g} s\n{self.said()}"
            time.sleep(0.5)

    def said(self) -> str:
        """The end of what every service and health check had to say."""
        return "\n".join(f"--- {one.name}\n{one.read_text('utf-8', 'replace')[-2000:]}" for one in self.logs.iterdir())

    def stop(self, *services: str) -> dict[str, int]:
        """End services, all of them where none is named, as an engine does; their exit codes."""
        found = {}
        for name in services or list(reversed(self._started)):
            process = self._started.pop(name)
            process.terminate()
            try:
                found[name] = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                found[name] = process.wait()
        return found


@contextmanager
def stack(influxdb: str) -> Iterator[Stack]:
    """A stack in a folder that other users may enter, unlike those of pytest; everything ends with the block."""
    with tempfile.TemporaryDirectory(prefix="emitwatch-stack-") as name:
        Path(name).chmod(0o755)
        one = Stack(Path(name), influxdb)
        try:
            yield one
        finally:
            one.stop()
