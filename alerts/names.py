"""The names of everything notices speak of, from site files, parameters and rule packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerts.messages import Names
from collector.verdicts.pack import RulePack
from gateway.parameters import Parameters
from gateway.settings import Site


def of_sites(sites: Sequence[Site], packs: Mapping[str, RulePack], parameters: Parameters) -> Names:
    """Names in both languages."""
    return Names(
        plants={site.plant.id: site.plant.name for site in sites},
        timezones={site.plant.id: site.plant.timezone for site in sites},
        points={(site.plant.id, point.id): point.name for site in sites for point in site.points},
        parameters={code: parameter.name for code, parameter in parameters.items()},
        clauses={f"{pack.id}/{clause.id}": clause.title for pack in packs.values() for clause in pack.clauses},
    )
