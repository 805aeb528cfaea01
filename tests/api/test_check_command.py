from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
import tomli_w
from msgspec.structs import replace
from typer.testing import CliRunner

from api.check_command import examine
from api.cli import main
from collector.intake.journal import Journal
from collector.intake.journal_files import JournalFiles
from gateway.document import Fault
from tests.collector.test_journal import MONTH_NS, batch

ROOT = Path(__file__).parent.parent.parent


def site(folder: Path, *changes: tuple[str, str], name: str = "site.toml") -> Path:
    """The reference site with some texts replaced."""
    text = (ROOT / "site.toml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / name
    path.write_text(text, "utf-8")
    (folder / "broker.password").write_text("secret", "utf-8")
    return path


def faults(path: Path) -> dict[str, Fault]:
    return {fault.path: fault for fault in examine(str(path))[1]}


def other(folder: Path, *changes: tuple[str, str], name: str = "b.toml") -> Path:
    """A second plant; who is told stands in the first one's file."""
    text = (ROOT / "site.toml").read_text("utf-8")
    alerts = text[text.index("[[recipient]]") :]
    ids = (('id = "riverside"\n', 'id = "other"\n'), ('id = "riverside-gw"', 'id = "other-gw"'))
    return site(folder, (alerts, ""), *ids, *changes, name=name)


def test_the_reference_site_is_without_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(site(tmp_path))]) == 0
    assert "1 plant, 7 points, 13 sensors" in capsys.readouterr().out


def test_the_disk_of_a_journal_is_forecast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path)
    with closing(Journal(tmp_path / "data" / "collector" / "journal")) as journal:
        journal.append([replace(batch(1), received_ns=MONTH_NS * 600)])
        assert main(["check", str(path)]) == 0
        assert "the pace is not known yet" in capsys.readouterr().out
        journal.append([replace(batch(2), received_ns=MONTH_NS * 600 + 2 * 3600 * 10**9)])
        assert main(["check", str(path)]) == 0
        assert JournalFiles(tmp_path / "data" / "collector" / "journal").growth() == journal.growth()
    assert "days until it takes nothing more in" in capsys.readouterr().out


def test_a_point_in_commissioning_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path, ('id = "fence-north"\n', 'id = "fence-north"\ncommissioning = true\n'))
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"warning: .*site.toml:\d+: point\[\d\].commissioning: point fence-north is in comm", said)
    assert main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["commissioning"] == ["riverside/fence-north"]


def test_a_stack_that_does_not_say_how_far_its_zero_wanders_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site(tmp_path)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"note: .*site.toml.*settings.zero_noise: not set: .* NOx -[\d.]+ mg/m3", said)
    assert main(["check", str(path), "--json"]) == 0
    hints = json.loads(capsys.readouterr().out)["hints"]
    stacks = path.read_text("utf-8").count('kind = "stack"')
    assert len(hints) == stacks > 0
    text = path.read_text("utf-8").replace("reference_oxygen", "zero_noise = 0.5, reference_oxygen")
    path.write_text(text, "utf-8")
    assert main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hints"] == []


def test_a_secret_that_is_not_on_this_machine_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "site.toml")]) == 0
    out = capsys.readouterr().out
    assert "no fault found" in out
    assert (ROOT / "broker.password").exists() or "note, for this machine" in out


def test_a_secret_that_others_may_read_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = site(tmp_path)
    secret = tmp_path / "broker.password"
    for mode, noted in ((0o644, True), (0o640, True), (0o600, False), (0o400, False)):
        secret.chmod(mode)
        assert main(["check", str(file)]) == 0, "it is no fault"
        assert (f"chmod 600 {secret}" in capsys.readouterr().out) == noted


def test_the_sites_of_the_product_are_without_fault() -> None:
    found, wrong = examine(str(ROOT / "simulators" / "sites"))
    assert {fault.path for fault in wrong} <= {"broker.password_file"}, "the password is not in the repository"
    assert found


def test_every_part_names_its_own_faults_at_once(tmp_path: Path) -> None:
    path = site(
        tmp_path,
        ('profile = "sick-mcs100ft"', 'profile = "sick-mcs100f"'),
        ('rules = ["gb18918-2002"]', 'rules = ["gb18918-2003"]'),
        ("area_class = 2", "area_class = 9"),
        ("port = 8080", "port = 80800"),
        ('kind = "duckdb"', 'kind = "mysql"'),
        ('channels = ["console"]', 'channels = ["telegraph"]'),
    )
    found = faults(path)
    assert "sick-mcs100ft" in found["sensor[3].profile"].hint
    assert {"api.port", "store.kind"} <= set(found)
    assert any(place.startswith("point[0]") for place in found)
    assert any(place.startswith("point[5]") for place in found)
    assert any(place.startswith("recipient[0]") for place in found)
    lines = path.read_text("utf-8").splitlines()
    number = found["sensor[3].profile"].line
    assert number
    assert "sick-mcs100f" in lines[number - 1]


def test_a_file_its_reader_refuses_is_still_searched_for_names(tmp_path: Path) -> None:
    path = site(
        tmp_path,
        ("interval_s = 5", 'interval_s = "often"'),
        ('profile = "tuf-2000m"', 'profile = "tuf-200m"'),
        ('rules = ["ultra-low-2015"]', 'rules = ["ultra-low-2016"]'),
    )
    found = faults(path)
    assert found["sensor[3].interval_s"]
    assert "tuf-2000m" in found["sensor[9].profile"].hint
    assert "ultra-low-2015" in found["point[3].rules"].hint


def test_faults_are_printed_with_file_place_line_and_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path, ('timezone = "Asia/Shanghai"', 'timezone = "Asia/Peking"'))
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"{path}:" in said
    assert "plant.timezone" in said
    assert "hint: " in said
    assert said.endswith("1 fault in 1 file\n")


def test_plants_of_a_folder_must_agree_about_the_interface(tmp_path: Path) -> None:
    site(tmp_path, name="a.toml")
    other(tmp_path, ("port = 8080", "port = 8081"))
    _, wrong = examine(str(tmp_path))
    assert [(fault.path, bool(fault.line)) for fault in wrong] == [("api", True)], "and it is said once"


def test_what_one_file_says_for_all_plants_holds_for_each(tmp_path: Path) -> None:
    key = "a" * 64
    site(tmp_path, ('data_dir = "data"\n', ""), name="a.toml")
    shared = ("[[gateway]]", f'[collector]\npublic_key = "{key}"\n\n[[gateway]]')
    other(tmp_path, ('data_dir = "data"', 'data_dir = "kept"'), shared)
    found, wrong = examine(str(tmp_path))
    assert not wrong
    assert {one.data_dir for one in found} == {str(tmp_path / "kept")}
    assert {one.collector_key for one in found} == {key}


def test_a_profile_of_the_sites_own_folder_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text('name = "mine"\n', "utf-8")
    path = site(tmp_path, ("[[gateway]]", '[folders]\nprofiles = ["own"]\n\n[[gateway]]'))
    _, wrong = examine(str(path))
    assert any(fault.file.endswith("mine.toml") for fault in wrong)


@pytest.mark.parametrize("content", ["not toml at all [", ""])
def test_a_file_that_is_no_site_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content, "utf-8")
    _, wrong = examine(str(path))
    assert wrong
    if content:
        assert len(wrong) == 1, "what is in a text that is no TOML is not known to be missing"


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert examine(str(tmp_path))[1]


def test_settings_written_by_a_program_are_read(tmp_path: Path) -> None:
    import tomllib

    tree = tomllib.loads((ROOT / "site.toml").read_text("utf-8"))
    path = site(tmp_path)
    path.write_text(tomli_w.dumps(tree), "utf-8")
    assert not examine(str(path))[1]


def test_check_is_a_command_of_typer(tmp_path: Path) -> None:
    import typer

    from api.check_command import check

    app = typer.Typer()
    app.command()(check)
    assert CliRunner().invoke(app, [str(site(tmp_path))]).exit_code == 0


# --- one fault hides no other, and is said once -----------------------------------------------------


def test_a_fault_of_the_plants_own_tables_hides_none_of_the_others(tmp_path: Path) -> None:
    path = site(
        tmp_path,
        ("interval_s = 1", "interval_s = 0"),
        ("area_class = 2", "area_class = 9"),
        ("port = 8080", "port = 80800"),
        ('kind = "duckdb"', 'kind = "mysql"'),
        ('channels = ["console"]', 'channels = ["telegraph"]'),
    )
    assert set(faults(path)) == {
        "sensor[0].interval_s", "point[0].settings.area_class", "api.port", "store.kind", "recipient[0].channels[0]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (('id = "fence-north"\nkind', 'id = "fence north"\nkind'), ["point[0].id"]),
        (('[[point]]\nid = "fence-north"', "[[point]]"), ["point[0].id"]),
        (('id = "outfall-1"\nkind = "water"', 'id = "outfall-1"\nkind = "watr"'), ["point[5].kind"]),
        (('[[gateway]]\nid = "riverside-gw"', "[[gateway]]"), ["gateway[0].id"]),
        (("[[gateway]]", '[[gateway]]\nid = "riverside-gw"\n\n[[gateway]]'), ["gateway[1].id"]),
        (('url = "mqtt://127.0.0.1:1883"', ""), ["broker.url"]),
        (('[[channel]]\nid = "console"', "[[channel]]"), ["channel[0].id"]),
        (("[broker]", "[brocker]"), ["broker", "brocker"]),
        (("area_class = 2", 'area_class = "2"'), ["point[0].settings.area_class"]),
        (("[store]", '[folders]\nprofiles = ["nix"]\nrules = ["no"]\n[store]'), ["folders.rules", "folders.profiles"]),
        (("tcp://127.0.0.1:5021?unit=2", "tcp://127.0.0.1:5021?unit=1"), ["sensor[1].link"]),
        (("tcp://127.0.0.1:5021?unit=2", "rtu:///dev/ttyS0?unit=2"), []),
        (("tcp://127.0.0.1:5021?unit=2", "rtu:///dev/ttyS0?bauds=9600"), ["sensor[1].link"]),
        (("tcp://127.0.0.1:5021?unit=2", "rtu+tcp://127.0.0.1:5021?unit=2"), ["sensor[1].link"]),
    ],
)
def test_one_cause_is_said_once(tmp_path: Path, change: tuple[str, str], paths: list[str]) -> None:
    _, wrong = examine(str(site(tmp_path, change)))
    assert sorted(fault.path for fault in wrong) == sorted(paths)


def test_ids_used_in_two_files_are_said_once(tmp_path: Path) -> None:
    site(tmp_path, name="a.toml")
    other(tmp_path, ('id = "other-gw"', 'id = "riverside-gw"'))
    assert [fault.path for fault in examine(str(tmp_path))[1]] == ["gateway[0].id"]


def test_a_file_that_cannot_be_read_makes_no_faults_in_the_others(tmp_path: Path) -> None:
    site(tmp_path, ('channels = ["console"]', 'channels = ["mail"]\nplants = ["harbour"]'), name="a.toml")
    (tmp_path / "b.toml").write_text("[plant", "utf-8")
    assert [Path(fault.file).name for fault in examine(str(tmp_path))[1]] == ["b.toml"]


INFLUX = 'kind = "influxdb"\nurl = "https://influx.example.org:8086"\n'

# --- what this machine lacks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (('user = "riverside"\npassword_file = "broker.password"\n', ""), "broker.user"),
        (('"broker.password"', '"nowhere"'), "broker.password_file"),
        (('"broker.password"', '"."'), "broker.password_file"),
        (("[store]", 'ca = "nowhere.pem"\n[store]'), "broker.ca"),
        (("[store]", 'cert = "broker.password"\n[store]'), "broker.key"),
        (("[store]", 'cert = "broker.password"\nkey = "nowhere"\n[store]'), "broker.key"),
        (("[store]", '[collector]\nuser = "collector"\npassword_file = "nowhere"\n[store]'), "collector.password_file"),
        (("[store]", '[collector]\ncert = "nowhere.pem"\nkey = "broker.password"\n[store]'), "collector.cert"),
        (("port = 8080", 'token_file = "nowhere/token"'), "api.token_file"),
        (("port = 8080", 'token_file = "broker.password"'), "api.token_file"),
        (('data_dir = "data"', 'data_dir = "broker.password/data"'), "plant.data_dir"),
        (('data_dir = "data"', 'data_dir = "/proc/data"'), "plant.data_dir"),
        (('kind = "duckdb"', 'path = "broker.password/x/store.duckdb"'), "store.path"),
        (('kind = "duckdb"', f'{INFLUX}token_file = "nowhere"'), "store.token_file"),
        (('kind = "duckdb"', f'{INFLUX}ca = "nowhere.pem"'), "store.ca"),
        (("[store]", '[folders]\nchannels = ["nix"]\n[store]'), "folders.channels"),
        (
            ('kind = "console"', 'kind = "webhook"\nurl = "https://example.com"\nsecret_file = "nix"'),
            "channel[0].secret_file",
        ),
    ],
)
def test_what_run_would_refuse_is_a_fault(tmp_path: Path, change: tuple[str, str], path: str) -> None:
    file = site(tmp_path, change)
    before = sorted(tmp_path.rglob("*"))
    _, wrong = examine(str(file))
    assert [(fault.path, fault.file, bool(fault.line)) for fault in wrong] == [(path, str(file), True)]
    assert sorted(tmp_path.rglob("*")) == before, "checking leaves nothing behind"


def test_the_demo_needs_no_broker_user(tmp_path: Path) -> None:
    path = site(tmp_path, ('user = "riverside"\npassword_file = "broker.password"\n', ""))
    assert not examine(str(path), demo=True)[1]


def test_a_collector_with_an_access_of_its_own_needs_no_broker_user(tmp_path: Path) -> None:
    """As `emitwatch enroll` prints it: the certificate authority in [broker], the certificate in [collector]."""
    user = 'user = "riverside"\npassword_file = "broker.password"\n'
    path = site(tmp_path, (user, '[collector]\nuser = "collector"\npassword_file = "broker.password"\n'))
    assert not examine(str(path))[1]


def test_run_makes_no_token_before_everything_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path, ('"broker.password"', '"nowhere"'), ("port = 8080", "port = 0"))
    assert main(["run", "all", str(path)]) == 1
    assert "broker.password_file" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = site(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert not examine(str(path))[1]
