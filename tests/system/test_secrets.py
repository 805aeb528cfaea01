"""No secret is ever said: whole processes run with known ones, into refusals, and their words are searched."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest
import tomli_w

from api.cli import main
from tests.api.line import ROOT
from tests.collector.brokers import mosquitto_at
from tests.gateway.ports import free_port

pytestmark = pytest.mark.system
SECRETS = {
    "broker.password": "hunter-of-brokers-91", "collector.password": "hunter-of-collectors-92",
    "smtp.password": "hunter-of-mails-93", "webhook.secret": "hunter-of-hooks-94-long-enough",
    "api.token": "hunter-of-tokens-95-long-enough-to-be-one",
    "data/collector/key": "ab" * 32, "data/gateways/riverside-gw/key": "cd" * 32,
}  # fmt: skip


def prepared(folder: Path, broker: int) -> Path:
    tree = tomllib.loads((ROOT / "site.toml").read_text("utf-8"))
    tree["plant"]["data_dir"] = "data"
    tree["broker"] = {"url": f"mqtt://127.0.0.1:{broker}", "user": "riverside-gw", "password_file": "broker.password"}
    tree["collector"] = {"user": "collector", "password_file": "collector.password"}
    tree["api"] = {"port": free_port(), "token_file": "api.token"}
    tree["channel"] = [
        {"id": "mail", "kind": "email", "smtp": f"127.0.0.1:{free_port()}", "sender": "a@b.example", "user": "u",
         "password_file": "smtp.password"},
        {"id": "hook", "kind": "webhook", "url": f"http://127.0.0.1:{free_port()}/", "allow_private": True,
         "secret_file": "webhook.secret"},
    ]  # fmt: skip
    tree["recipient"] = [
        {"id": "duty", "name": "Duty", "role": "duty officer", "channels": ["mail", "hook"], "address": "c@d.example"}
    ]
    for name, secret in SECRETS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    path = folder / "site.toml"
    path.write_text(tomli_w.dumps(tree), "utf-8")
    return path


def test_nothing_that_runs_says_a_secret(mosquitto: str, tmp_path: Path) -> None:
    port = free_port()
    site = prepared(tmp_path, port)
    assert main(["check", str(site)]) == 0
    expected = {"all": "The broker refuses", "gateway": "The broker cannot be reached"}
    outputs = {part: tmp_path / f"{part}.out" for part in expected}
    # The broker lets nobody in, so that both go through what they say of a refused login.
    with mosquitto_at(mosquitto, tmp_path, port, "allow_anonymous false"), ExitStack() as stack:
        for part, output in outputs.items():
            command = [sys.executable, "-m", "api.cli", "run", part, str(site)]
            file = stack.enter_context(output.open("w"))
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT))
            stack.callback(process.terminate)
        end = time.monotonic() + 40
        while time.monotonic() < end and any(text not in outputs[part].read_text() for part, text in expected.items()):
            time.sleep(0.1)
    said = "".join(output.read_text() for output in outputs.values())
    assert all(text in said for text in expected.values()), said
    for name, secret in SECRETS.items():
        assert secret not in said, f"{name} was said"
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and str(path.relative_to(tmp_path)) not in SECRETS]
    for path in kept:
        for name, secret in SECRETS.items():
            assert secret.encode() not in path.read_bytes(), f"{name} is in {path}"
