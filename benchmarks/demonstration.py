"""A run of `emitwatch demo` whose report other benchmarks read their figures from."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def run(*arguments: str) -> dict[str, Any]:
    """Run the demonstration on a free port until it is judged; its report."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        code = "import sys; from api.cli import main; sys.exit(main())"
        words = [sys.executable, "-c", code, "demo", "--port", "0", "--for", "0", "--report", str(file), *arguments]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        report: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return report
