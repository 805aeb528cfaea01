"""Certificate files of the sites, read again when they change: a daily check must count on the day it is made.

A file with a fault changes nothing: what it said before is in force, and the fault is told once. What a change does to
windows that were judged before is the evaluator's affair (`evaluator.Line.certify`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from collector.catalogue import rule_packs, site_certificates
from collector.verdicts.agenda import PointKey
from collector.verdicts.assurance import UNCERTIFIED, Assurance
from gateway.document import FaultyFiles
from gateway.settings import Site

log = structlog.get_logger(__name__)

LOOK_S = 10.0  # from one look at the files to the next: a few calls of the system for each
Stamps = Mapping[str, tuple[int, int]]


class CertificateWatch:
    """Says when certificate files have changed, and what they come to then."""

    def __init__(self, sites: Sequence[Site], look_s: float = LOOK_S) -> None:
        """Take the files as they are; they were read a moment ago."""
        self._sites = [site for site in sites if any(point.certificates for point in site.points)]
        self._look_s = look_s
        self._looked_s = time.monotonic()
        self._seen = self._stamps()

    def changed(self) -> dict[PointKey, Assurance]:
        """What the certificates of every point of the sites come to, where a file has changed; else nothing."""
        if not self._sites or time.monotonic() - self._looked_s < self._look_s:
            return {}
        self._looked_s = time.monotonic()
        stamps = self._stamps()
        if stamps == self._seen:
            return {}
        self._seen = stamps
        found: dict[PointKey, Assurance] = {}
        for site in self._sites:
            found |= self._read(site)
        return found

    def _read(self, site: Site) -> dict[PointKey, Assurance]:
        """What the certificates of a site come to; nothing where a file has a fault."""
        try:
            packs = rule_packs([site.path(folder) for folder in site.folders.rules])
        except FaultyFiles as error:
            log.warning("Certificates are not read again: a rule pack has a fault.", fault=str(error.faults[0]))
            return {}
        known, notes, faults = site_certificates(site, packs)
        if faults:
            log.warning("A certificate file has a fault; what it said before stays.", fault=str(faults[0]))
            return {}
        for note in notes:
            log.warning("A certificate is not used.", reason=note)
        log.info("Certificate files were read again.", plant=site.plant.id)
        return {(site.plant.id, point.id): known.get(point.id, UNCERTIFIED) for point in site.points}

    def _stamps(self) -> Stamps:
        """When each file was last written, and how large it is."""
        named = {site.path(name) for site in self._sites for point in site.points for name in point.certificates}
        found: dict[str, tuple[int, int]] = {}
        for path in map(Path, sorted(named)):
            for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
                try:
                    told = file.stat()
                except OSError:
                    continue  # gone, or on its way: the next look sees it
                found[str(file)] = (told.st_mtime_ns, told.st_size)
        return found
