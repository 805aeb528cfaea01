"""The rule packs on disk: those that come with the product, and those in a site's folders.

One of the two modules that read packaged TOML (the other is `gateway.catalogue`).
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.verdicts.pack import RulePack


def rule_packs(folders: Sequence[str] = ()) -> dict[str, RulePack]:
    """Every rule pack by id: packaged ones, then those of the folders, which may replace them. Raises FaultyFiles."""
    raise NotImplementedError
