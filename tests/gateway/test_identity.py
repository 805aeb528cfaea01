"""Keys on disk: made once, readable by their owner alone, refused when anything is wrong with them."""

from __future__ import annotations

import stat
import threading

import pytest

from gateway.identity import IdentityError, load_or_create_key, public_hex, public_key


def test_a_missing_key_is_made_once(tmp_path):
    path = tmp_path / "gateways" / "gw" / "key"
    key, created = load_or_create_key(path)
    again, created_again = load_or_create_key(path)
    assert (created, created_again) == (True, False)
    assert public_hex(key) == public_hex(again) == public_hex(key.public_key())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes.fromhex(path.read_text()) == key.private_bytes_raw()
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_two_that_make_a_key_at_once_get_the_same(tmp_path):
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(public_hex(load_or_create_key(tmp_path / "key")[0])))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33, "\u00e9" * 64])
def test_a_file_that_is_no_key_is_refused(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(IdentityError, match="not a key"):
        load_or_create_key(path)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "key"
    load_or_create_key(path)
    path.chmod(0o640)
    with pytest.raises(IdentityError, match="chmod 600"):
        load_or_create_key(path)


def test_a_place_where_no_key_can_be_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityError, match="file/key"):
        load_or_create_key(tmp_path / "file" / "key")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IdentityError, match="cannot be read"):
        load_or_create_key(tmp_path / "folder")


def test_public_keys_in_hex(tmp_path):
    key, _ = load_or_create_key(tmp_path / "key")
    assert public_key(public_hex(key)) == key.public_key()
    for wrong in ("", "00", "xy" * 32):
        with pytest.raises(ValueError, match="hex"):
            public_key(wrong)
