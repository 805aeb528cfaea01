"""One process of the demonstration, tied to the life of the process that started it.

    python -m simulators call MODULE:FUNCTION [JSON]     call a function with the JSON object's keywords
    python -m simulators exec PROGRAM ARGUMENT..         become another program

When the parent ends in whatever way, the kernel kills this process too (Linux: prctl(2), PR_SET_PDEATHSIG;
it survives exec). A parent that ends in order has asked its children to end before; one that was killed has
nobody left for whom they could finish anything, and what they have on disk survives a kill by design.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence

from gateway.log_stream import log_to

PR_SET_PDEATHSIG = 1
PARENT = "EMITWATCH_PARENT"  # process id of the parent, to notice one that died before prctl took effect


def main(words: Sequence[str]) -> int:
    """Run one part; the exit code."""
    _die_with_parent()
    verb, target, *rest = words
    if verb == "exec":
        os.execv(target, [target, *rest])  # noqa: S606 - the demonstration's own command line, no shell
    assert verb == "call", f"{verb!r} is neither call nor exec"
    log_to()
    module, _, function = target.partition(":")
    arguments = json.loads(rest[0]) if rest else {}
    return int(getattr(importlib.import_module(module), function)(**arguments) or 0)


def _die_with_parent() -> None:
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(os.environ.get(PARENT, os.getppid())):
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
