"""Writes the dashboards and the alerting from the product's own parameters and rule packs.

    python -m grafana.build            writes grafana/dashboards and grafana/provisioning/alerting
    python -m grafana.build --check    exit 1 and the names of the files that are not up to date

Run by `make docs`; `tests/grafana` checks that nobody forgot.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from collector.catalogue import rule_packs
from gateway.catalogue import parameters
from grafana import alerting
from grafana.dashboards import Maker
from grafana.words import LANGUAGES, Words

HERE = Path(__file__).parent
MADE = "# Made by grafana/build.py; JSON is YAML.\n"


def files() -> dict[Path, str]:
    """What is to be written, by path."""
    made = {}
    for language in LANGUAGES:
        for name, board in Maker(language, parameters(), rule_packs()).all().items():
            tree = json.loads(JSONEncoder(sort_keys=True).encode(board.build()))
            made[HERE / "dashboards" / language / f"{name}.json"] = _text(_numbered(tree))
        folder = HERE / "provisioning" / "alerting" / language
        made[folder / "rules.yaml"] = MADE + _text(alerting.rules(Words(language)))
        made[folder / "contacts.yaml"] = MADE + _text(alerting.contacts())
    return made


def _numbered(tree: dict[str, Any]) -> dict[str, Any]:
    """Each panel with a number of its own: Grafana tells them apart by it, the SDK gives none."""
    number = 0
    for panel in tree["panels"]:
        for one in (panel, *panel.get("panels", ())):
            number += 1
            one["id"] = number
    return tree


def _text(tree: object) -> str:
    return json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(words: list[str]) -> int:
    """Write, or check; the exit code."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" in words:
            sys.stdout.write(f"{path.relative_to(HERE.parent)} is not up to date: run `make docs`\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
