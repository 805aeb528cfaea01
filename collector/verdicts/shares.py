"""Clauses that only a share of their windows has to meet, held against the averages of a year or a day.

The rule is data (`[[share]]` of a pack, `validation_rules.Share`), the limit that of the clause it names, at this point
on this day. The caller brings the averages of the span, as they are judged; nothing here knows where they come from.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.limits import Clause, resolve, rounded
from collector.verdicts.pack import RulePack
from collector.verdicts.validated import ShareWithin, share_within
from collector.verdicts.validation_rules import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareVerdict:
    """One share over one span. limit: of its clause. [unit of the clause]

    within: how its windows stand. instead: how those of the clause that makes up for it stand, None = there is none.
    broken: the share is not met, and nothing makes up for it. Arrays of no dimension, or one entry a span.
    """

    share: Share
    limit: float
    within: ShareWithin
    instead: ShareWithin | None
    broken: npt.NDArray[np.bool_]


def shares(
    pack: RulePack, settings: Mapping[str, Any], on: date, averages: Mapping[str, npt.ArrayLike]
) -> list[ShareVerdict]:
    """The shares of a pack that hold at a point, judged; those whose clause sets no limit there are left out.

    settings: of the point, as limits.read_settings gives them. on: a day of the span.
    averages: by id of clause, the averages of its window over the span, corrected as the clause says, shape (n,), or
    (spans, n); NaN = none or not valid, and what is not given counts as none.
    Source: 2010/75/EU Annex V Part 4 and Annex VI Part 8, by a rule pack.
    """
    clauses = {clause.id: clause for clause in resolve(pack, settings, on)[0]}
    found = []
    for share in pack.shares:
        clause, other = clauses.get(share.clause), clauses.get(share.instead)
        limit = None if clause is None else clause.limit()
        if clause is None or limit is None:
            continue
        within = _within(clause, averages, share.least)
        instead = None if other is None else _within(other, averages, 1.0)
        # What nobody measured makes up for nothing.
        saved = np.False_ if instead is None else (instead.counted > 0) & ~instead.broken
        broken = np.asarray(within.broken & ~saved)
        found.append(ShareVerdict(share=share, limit=limit, within=within, instead=instead, broken=broken))
    return found


def _within(clause: Clause, averages: Mapping[str, npt.ArrayLike], least: float) -> ShareWithin:
    return share_within(rounded(clause, averages.get(clause.id, ())), clause.limit(), least)
