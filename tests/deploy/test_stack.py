"""The services of docker-compose.yml run together without an engine, as docs/how-to/deploy.md leads through them."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from typing import Any

import pytest

from tests.collector.influx_newer import as_2_7
from tests.collector.influx_servers import Influxd
from tests.conftest import missing
from tests.deploy.stack import Stack, stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


def asked(one: Stack, path: str) -> Any:
    """An answer of the server's interface, with its token."""
    token = (one.volumes / "collector" / "collector" / "api.token").read_text().strip()
    url = f"http://127.0.0.1:{one.ports[8080]}/api/v1/{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def set_up(one: Stack) -> None:
    """The steps before `up`: identities, the collector's key in the site file, the approval."""
    first = one.run("setup")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "gateway riverside-gw of plant riverside: enrolled" in first.stdout
    (line,) = re.findall(r'^    (public_key = "[0-9a-f]{64}")$', first.stdout, re.MULTILINE)
    text = one.site.read_text().replace("interval_s = 60", "interval_s = 5")  # a change that wants to be approved
    one.site.write_text(re.sub(r"(?m)^# public_key = .*$", line, text))
    one.place_site()
    again = one.run("setup")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "approved" in again.stdout
    assert "public_key" not in again.stdout


def keys_are_where_they_belong(one: Stack) -> None:
    def files(volume: str) -> set[str]:
        folder = one.volumes / volume
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}

    own = "gateways/riverside-gw"
    assert files("gateway") == {
        "identity/ca.pem", "identity/cert.pem", "identity/key.pem", "site-tables.toml", f"{own}/key",
        f"{own}/config.sig",
    }  # fmt: skip
    assert {name for name in files("collector") if "riverside-gw" in name} == set(), "the gateway's keys are its own"
    assert "collector/ca/key.pem" in files("collector")
    wanted = {"mosquitto.conf", "acl", "ca.pem", "crl.pem", "cert.pem", "key.pem", "health.pem", "health.key"}
    assert {name for name in files("broker") if "/" not in name} == wanted, "and nothing of the authority"
    secret = ("gateway/identity/key.pem", f"gateway/{own}/key", "collector/collector/ca/key.pem", "broker/key.pem")
    assert not [name for name in secret if (one.volumes / name).stat().st_mode & 0o007]


def measured(one: Stack, influxd: Influxd) -> bool:
    """Whether values of all three points are in the store, and the interface answers with them."""
    rows = influxd.query('SELECT count("value") FROM "measurement" GROUP BY "point"', "emitwatch")
    if {row["tags"]["point"] for row in rows} != {"fence-north", "stack-1", "outfall-1"}:
        return False
    items = asked(one, "measurements?plant=riverside&point=fence-north&parameter=LAeq")["items"]
    return any(item["value"] is not None for item in items)


def test_the_services_make_a_line_that_measures_and_tells_its_health(influxd: Influxd, mosquitto: str) -> None:
    if not shutil.which("mosquitto_sub"):
        missing("mosquitto_sub is not installed (apt-get install mosquitto-clients)")
    with as_2_7(influxd.url) as newer, stack(newer.url.removeprefix("http://")) as one:
        given = one.services["influxdb"]["environment"]
        influxd.query(f"CREATE DATABASE {given['DOCKER_INFLUXDB_INIT_BUCKET']}")
        newer.org = given["DOCKER_INFLUXDB_INIT_ORG"]
        newer.token = (one.folder / "deploy" / "secrets" / "influx_token").read_text().strip()
        set_up(one)
        keys_are_where_they_belong(one)
        if not one.user:  # started as root it would become the user mosquitto; in its container it is not root
            with (one.volumes / "broker" / "mosquitto.conf").open("a") as file:
                file.write("user root\n")
        assert not one.healthy("mosquitto")
        one.start("mosquitto")
        one.until("the broker is healthy", lambda: one.healthy("mosquitto"))
        for service in ("simulator", "server", "gateway"):
            one.start(service)
            one.until(f"{service} is healthy", lambda name=service: one.healthy(name))  # type: ignore[misc]
        one.until("values of all points in store and interface", lambda: measured(one, influxd))
        health = asked(one, "health")
        assert health["problems"] == []
        assert health["gateways"]["riverside-gw"]["configuration"]["problem"] == ""
        well = one.run("server", "health", "/etc/emitwatch/site.toml")
        assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "all is well"), well
        instruments = one.run("gateway", "status", "/etc/emitwatch/site.toml")
        assert (instruments.returncode, instruments.stdout.splitlines()[-1]) == (
            0, "all instruments answer, all is well",
        ), instruments  # fmt: skip
        # A gateway is taken out beside the running broker, which is told and holds to it.
        revoked = one.run("office", "enroll", "/etc/emitwatch/site.toml", "riverside-gw", "--revoke")
        assert revoked.returncode == 0, revoked.stdout + revoked.stderr
        assert "no session of it any more" in revoked.stdout
        # What is wrong is told and is no ill health; what does not answer is.
        one.until("the collector refuses it", lambda: not asked(one, "health")["ok"])
        assert one.healthy("server")
        codes = one.stop("gateway", "server", "mosquitto")
        assert codes["server"] == codes["gateway"] == 0
        assert not one.healthy("server")
        assert not one.healthy("gateway")
        assert not one.healthy("mosquitto")
        backup = one.run("server", "backup", "/etc/emitwatch/site.toml", "/backups/first")
        assert backup.returncode == 0, backup.stdout + backup.stderr
        assert (one.volumes / "backups" / "first").is_dir()
