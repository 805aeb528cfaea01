"""docker-compose.yml and Dockerfile read as data, without an engine: variables filled in, volumes by where they lie."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
LANGUAGES = ("en", "zh")
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::-([^}]*))?\}")


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with its variables filled in as docker-compose does: `${NAME:-usual}`, `$$` for a dollar."""
    if isinstance(value, dict):
        return {key: filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(
        lambda found: "$" if found[0] == "$$" else variables.get(found[1]) or found[2] or "", value
    )  # fmt: skip


def compose(**variables: str) -> dict[str, Any]:
    """The file, as a machine with these variables and no .env sees it."""
    found: dict[str, Any] = filled(yaml.safe_load(COMPOSE.read_text("utf-8")), variables)
    return found


@dataclass(frozen=True)
class Mount:
    """What lies where in a container. source: a volume's name, or a path beside the compose file."""

    source: str
    target: str
    read_only: bool

    @property
    def named(self) -> bool:
        """Whether it is a named volume."""
        return not self.source.startswith((".", "/"))


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    """Everything laid into a service's containers, but for secrets."""
    found = []
    for text in service.get("volumes", ()):
        source, target, *mode = text.split(":")
        found.append(Mount(source, target, mode == ["ro"]))
    return found


def secrets_of(service: Mapping[str, Any]) -> list[str]:
    """The secrets a service sees below /run/secrets."""
    return list(service.get("secrets", ()))


def command_of(service: Mapping[str, Any]) -> list[str]:
    """What a service's container starts; the image's own entry point where the file has none."""
    own = ["emitwatch"] if service["image"].startswith("emitwatch:") else []
    return [*service.get("entrypoint", own), *service.get("command", ())]


def lasting(services: Mapping[str, Any]) -> dict[str, Any]:
    """The services that stay, unlike the commands that end by themselves."""
    return {name: one for name, one in services.items() if one["restart"] != "no"}


def tracked(folder: Path) -> Path:
    """A folder with the files of the repository and nothing else, as a clean clone has them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():  # one that is deleted and not committed yet is gone
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode & 0o777)
    return folder
