"""Specific sound: the level of a source without the residual sound, which is there without it.

Rules of this file:

- how far the total has to lie above the residual is data of a rule pack (`[rating.residual]`); the residual level is a
  setting of the point, by day and at night: it is measured with the source at rest;
- energies are subtracted, however far apart the two are. Where they lie too near there is no specific level: the source
  has at most what was measured, and that is told;
- a window that is neither of the day nor of the night, or of whose period the point gives no residual, has none.

Pure. NaN = no value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.verdicts import rating
from collector.verdicts.background import by_period
from collector.verdicts.day_levels import LEVEL
from collector.verdicts.loads import snapped
from collector.verdicts.origin import Origin
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.tables import Table

KINDS = ("1h", "day", "night")


def given(pack: RulePack, rules: PointRules) -> bool:
    """Whether a point says what the residual sound is, by day or at night."""
    text = pack.rating.residual if pack.rating else None
    return text is not None and any(rules.settings.get(name) is not None for name in (text.day, text.night) if name)


def specific_table(pack: RulePack, rules: PointRules, like: Table) -> Table:
    """The specific level of windows of one kind. [dB]

    pack: of the point, with `[rating.residual]`. like: the levels of the same windows, of a kind in KINDS.
    Source: ISO 1996-2:2017, 10.4, by the pack.
    """
    assert pack.rating is not None, "a pack that knows residual sound has a rating"
    text = pack.rating.residual
    assert text is not None, "a pack that names the specific sound knows the residual"
    residual = by_period(rules, like.windows, text.day, text.night)
    found = rating.residual_correction(pack, like.value, residual)
    value = snapped(np.where(np.isfinite(found.specific_db), found.specific_db, np.nan))
    near = ~np.isnan(residual) & ~np.isnan(like.value) & np.isnan(value)
    origin = Origin(
        how="specific", of=(LEVEL,), cite=text.cite, verified=text.verified, fixed={"pack": pack.id},
        taken={LEVEL: like.value, "residual": residual, "at_most": np.where(near, like.value, np.nan)},
        lacking={"residual": np.isnan(residual).astype(np.float64),
                 f"{text.least:g} dB above the residual": near.astype(np.float64)},
    )  # fmt: skip
    return replace(
        like, method="specific", value=value, valid=like.valid & ~np.isnan(value), percentiles=None, origin=origin,
        maximum=np.full(len(value), np.nan),
    )  # fmt: skip
