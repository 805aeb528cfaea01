from __future__ import annotations

from pathlib import Path

import pytest

from alerts.records import Reason
from alerts.routes import routes
from alerts.settings import AlertSettings, parse_alerts
from collector.verdicts.records import Standing
from tests.alerts.kit import incident, site
from tests.alerts.test_settings import GOOD


@pytest.fixture
def settings(tmp_path: Path) -> AlertSettings:
    found, faults = parse_alerts([site(tmp_path, GOOD.replace("closing = false", ""))])
    assert found is not None, faults
    return found


def told(settings: AlertSettings, reason: Reason = Reason.OPENED, **of_exceedance: object) -> list[str]:
    return [f"{r.id}/{c.id}" for r, c in routes(incident(**of_exceedance), reason, settings)]


EVERYBODY = ["duty/console", "duty/mail", "duty/hook", "bureau/mail"]


def test_who_wants_it_is_told_over_each_channel(settings: AlertSettings) -> None:
    assert told(settings) == EVERYBODY


def test_another_plants_people_are_not_told(settings: AlertSettings) -> None:
    assert told(settings, plant="harbour") == ["bureau/mail"]


def test_the_authority_does_not_hear_of_early_warnings(settings: AlertSettings) -> None:
    assert told(settings, standing=Standing.EARLY_WARNING) == EVERYBODY[:3]


def test_the_authority_hears_of_unverified_clauses_only_when_switched_on_by_name(settings: AlertSettings) -> None:
    assert told(settings, verified=False) == EVERYBODY[:3]
    assert told(settings, verified=False, pack="gb12348-2008", clause="night-level") == EVERYBODY
    assert told(settings, verified=False, pack="gb12348-2008", clause="night-peak") == EVERYBODY[:3]


def test_back_filled_ones_go_to_the_console_and_to_channels_that_take_them(settings: AlertSettings) -> None:
    assert told(settings, late=True) == ["duty/console", "duty/hook"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_goes_the_same_way(settings: AlertSettings, reason: Reason) -> None:
    assert told(settings, reason) == EVERYBODY


def test_the_end_is_told_only_where_it_is_wanted(tmp_path: Path) -> None:
    quiet, _ = parse_alerts([site(tmp_path, GOOD)])
    assert quiet is not None
    assert told(quiet, Reason.CLOSED) == []
    assert told(quiet, Reason.WITHDRAWN) == EVERYBODY
