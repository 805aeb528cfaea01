"""What docker-compose.yml promises: pinned, watched, nobody root, nothing written where it need not be, no secret."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import parse_site
from tests.conftest import server
from tests.deploy.compose_file import (
    COMPOSE,
    DOCKERFILE,
    LANGUAGES,
    ROOT,
    command_of,
    compose,
    lasting,
    mounts,
    secrets_of,
    tracked,
)

SERVICES: dict[str, Any] = compose()["services"]
OURS = {name for name, one in SERVICES.items() if one["image"].startswith("emitwatch:")}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
each = pytest.mark.parametrize("name", SERVICES)


def template() -> dict[str, Any]:
    return tomllib.loads((ROOT / "deploy" / "site.toml").read_text("utf-8"))


def test_the_services_are_those_of_a_whole_line() -> None:
    assert set(lasting(SERVICES)) == {"mosquitto", "influxdb", "grafana", "server", "gateway", "simulator"}
    usual = {name for name, one in SERVICES.items() if "profiles" not in one}
    assert usual == {"mosquitto", "influxdb", "grafana", "server", "gateway"}


@each
def test_its_version_is_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag), f"{image}:{tag}"
    assert (image, tag) == ("emitwatch", VERSION) if name in OURS else "build" not in SERVICES[name]


@each
def test_it_may_do_little(name: str) -> None:
    one = SERVICES[name]
    user, _, group = one["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "userns_mode", "ipc"} & set(one)
    assert {"max-size", "max-file"} <= set(one["logging"]["options"])
    assert one.get("pid") in (None, "service:mosquitto")


@pytest.mark.parametrize("name", lasting(SERVICES))
def test_its_health_is_looked_at(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "start_period", "retries"} <= set(check)


@each
def test_it_waits_for_the_health_of_what_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "test" in SERVICES[other]["healthcheck"]


def test_who_needs_whom() -> None:
    needs = {name: set(one.get("depends_on", ())) for name, one in SERVICES.items()}
    assert needs["server"] == {"mosquitto", "influxdb"}
    assert needs["gateway"] == {"mosquitto"}
    assert needs["grafana"] == {"influxdb"}


@each
def test_its_doors_are_on_this_machine_but_the_brokers(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert port == "0.0.0.0:8883:8883" if name == "mosquitto" else port.startswith("127.0.0.1:")


def test_a_store_and_a_broker_are_not_on_the_way_out() -> None:
    networks = compose()["networks"]
    assert networks["store"]["internal"] is True
    assert networks["broker"]["internal"] is True
    assert SERVICES["influxdb"]["networks"] == ["store"]
    assert "ports" not in SERVICES["influxdb"]
    assert SERVICES["setup"]["network_mode"] == "none"


@each
def test_no_secret_stands_in_it(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASSWORD|TOKEN|SECRET|KEY", key):
            assert key.endswith("_FILE"), key
            assert value.removeprefix("/run/secrets/") in secrets_of(SERVICES[name])
        assert not re.search(r"[0-9A-Za-z+-]{24,}", value), key
    assert not any("env_file" in one for one in SERVICES.values())


def test_its_secrets_are_files_that_prepare_makes_and_git_leaves_alone(tmp_path: Path) -> None:
    copy = tracked(tmp_path)
    declared = {name: one["file"] for name, one in compose()["secrets"].items()}
    assert declared == {name: f"./deploy/secrets/{name}" for name in declared}
    assert {name for one in SERVICES.values() for name in secrets_of(one)} == set(declared)
    assert not (copy / "deploy" / "secrets").exists()
    for path in copy.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)  # fetched by somebody with a strict umask
    first = subprocess.run([copy / "deploy" / "prepare"], capture_output=True, text=True, check=True).stdout
    laid = {mount.source for one in SERVICES.values() for mount in mounts(one) if not mount.named}
    for path in (below for source in laid for below in (copy / source, *(copy / source).rglob("*"))):
        assert path.stat().st_mode & 0o444 == 0o444, f"{path}: users of containers cannot read it"
        assert not path.is_dir() or path.stat().st_mode & 0o111 == 0o111
    assert (copy / "deploy" / "influxdb" / "reader.sh").stat().st_mode & 0o111 == 0o111
    made = {file.name: file for file in (copy / "deploy" / "secrets").iterdir()}
    assert set(made) == set(declared)
    assert (copy / "deploy" / "secrets").stat().st_mode & 0o777 == 0o700
    values = {file.read_text() for file in made.values()}
    assert len(values) == len(made)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in values)
    assert not any(value in first for value in values)
    # Users of containers are not this machine's: a file is readable, its folder is not.
    assert {file.stat().st_mode & 0o777 for file in made.values()} == {0o444}
    assert (copy / "deploy/site/site.toml").stat().st_mode & 0o777 == 0o644
    site = copy / "deploy/site/site.toml"
    site.write_text("changed")
    again = subprocess.run([copy / "deploy" / "prepare"], capture_output=True, text=True, check=True).stdout
    assert again == ""
    assert values == {file.read_text() for file in made.values()}
    assert site.read_text() == "changed"
    ignored = ["deploy/secrets/influx_token", "deploy/site/site.toml", ".env"]
    said = subprocess.run(["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ignored


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_laid_into_containers_is_there(language: str) -> None:
    services = compose(EMITWATCH_LANGUAGE=language)["services"]
    for name, one in services.items():
        for mount in mounts(one):
            if mount.named:
                assert mount.source in compose()["volumes"]
                continue
            assert mount.read_only, f"{name}: only volumes are written to"
            assert mount.source == "./deploy/site" or (ROOT / mount.source).exists(), f"{name}: {mount.source}"
            assert "secrets" not in mount.source
    used = {mount.source for one in services.values() for mount in mounts(one) if mount.named}
    assert used == set(compose()["volumes"])


def test_the_broker_reads_only_its_own_folder_and_writes_only_its_state() -> None:
    found = {mount.target: (mount.source, mount.read_only) for mount in mounts(SERVICES["mosquitto"])}
    folder = "/var/lib/emitwatch/collector/broker"
    assert found == {folder: ("broker", True), f"{folder}/state": ("broker-state", False)}


def test_volumes_take_their_owner_from_what_the_image_has_there() -> None:
    """A new volume over a folder that the image does not have would belong to root."""
    text = DOCKERFILE.read_text()
    made = set(re.findall(r"/\S+", "\n".join(re.findall(r"install -d -o emitwatch -g emitwatch -m \d+ (.*)", text))))
    for name in OURS:
        assert SERVICES[name]["user"] == "10001:10001"
        for mount in mounts(SERVICES[name]):
            assert not mount.named or mount.target in made, f"{name}: {mount.target}"
    assert "useradd --uid 10001 --gid 10001" in text
    assert "USER 10001:10001" in text
    assert SERVICES["mosquitto"]["user"] == "10001:10001"


def test_grafana_is_given_everything_its_provisioning_asks_for() -> None:
    folder = ROOT / "grafana" / "provisioning"
    text = "".join(file.read_text("utf-8") for file in folder.rglob("*.yaml"))
    given = SERVICES["grafana"]["environment"]
    for name in set(re.findall(r"\$(EMITWATCH_\w+)", text)):
        assert given.get(name), f"{name}: Grafana does not start without contact points' addresses"
    asked = set(re.findall(r"\$__file\{/run/secrets/(\w+)\}", text))
    assert asked
    assert asked <= set(secrets_of(SERVICES["grafana"]))
    assert "influx_token" not in secrets_of(SERVICES["grafana"]), "whoever sees a dashboard could write in its name"
    # Each kind of file lies where Grafana looks for it, and the dashboards where their file says.
    laid = {mount.target: mount.source for mount in mounts(SERVICES["grafana"]) if not mount.named}
    assert {f"/etc/grafana/provisioning/{kind}" for kind in ("datasources", "dashboards", "alerting")} < set(laid)
    provider = (folder / "dashboards" / "emitwatch.yaml").read_text()
    (path,) = re.findall(r"path: (\S+)", provider)
    assert laid[path] == "./grafana/dashboards/en"
    home = given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].removeprefix(f"{path}/")
    assert all((ROOT / "grafana" / "dashboards" / language / home).is_file() for language in LANGUAGES)


def test_influxdb_makes_the_reader_that_grafana_asks_as() -> None:
    script = ROOT / "deploy" / "influxdb" / "reader.sh"
    assert os.access(script, os.X_OK), "its entry point runs only what may be executed"
    text = script.read_text()
    assert f"--username {SERVICES['grafana']['environment']['EMITWATCH_INFLUX_USER']} " in text
    assert "/run/secrets/influx_reader" in text
    assert "influx_reader" in secrets_of(SERVICES["influxdb"])
    assert "--write-bucket" not in text


def test_the_template_of_a_site_fits_the_services() -> None:
    tree = template()
    site, faults = parse_site((ROOT / "deploy" / "site.toml").read_text("utf-8"), "deploy/site.toml")
    assert site is not None, faults
    environment = SERVICES["influxdb"]["environment"]
    aliases = SERVICES["mosquitto"]["networks"]["broker"]["aliases"]
    assert tree["broker"]["url"] == f"mqtts://{aliases[0]}:8883"
    assert tree["store"]["url"] == "http://influxdb:8086"
    assert tree["store"]["org"] == environment["DOCKER_INFLUXDB_INIT_ORG"]
    assert tree["store"]["bucket"] == environment["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert tree["store"]["bucket"] == SERVICES["grafana"]["environment"]["EMITWATCH_INFLUX_DATABASE"]
    assert tree["store"]["token_file"].removeprefix("/run/secrets/") in secrets_of(SERVICES["server"])
    assert SERVICES["server"]["ports"] == [f"127.0.0.1:8080:{tree['api']['port']}"]
    assert tree["plant"]["data_dir"] in {mount.target for mount in mounts(SERVICES["server"])}
    assert [one["id"] for one in tree["gateway"]] == [command_of(SERVICES["gateway"])[-1]]
    assert {sensor["link"].partition(":50")[0] for sensor in tree["sensor"]} == {"tcp://simulator"}
    assert "'simulator', 5021" in SERVICES["simulator"]["healthcheck"]["test"][-1]
    assert {point["kind"] for point in tree["point"]} == {"noise", "stack", "water"}


@pytest.mark.parametrize("profiles", [(), ("simulator",), ("setup",), ("office",), ("simulator", "setup", "office")])
@pytest.mark.parametrize("language", ["", "zh"])
def test_docker_compose_takes_it_on_a_clean_clone(profiles: tuple[str, ...], language: str, tmp_path: Path) -> None:
    program = server("docker-compose")
    for name in ("docker-compose.yml", "Dockerfile"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE", "EMITWATCH"))}
    environment |= {"EMITWATCH_LANGUAGE": language} if language else {}
    words = [word for profile in profiles for word in ("--profile", profile)]
    done = subprocess.run(
        [program, *words, "config", "-q"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_docker_compose_would_tell_a_fault(tmp_path: Path) -> None:
    program = server("docker-compose")
    text = COMPOSE.read_text()
    (tmp_path / "docker-compose.yml").write_text(text.replace("service_healthy", "service_well", 1))
    done = subprocess.run([program, "config", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
