"""A disk that is full, or read-only: the store says so before it says written, and reads on."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk.errors import StoreUnwritable
from rhdesk.server.backup import write_backup
from rhdesk.server.serve import open_database
from tests.integration.server.conftest import Served, env, new_id

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounting wants root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def _remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.fixture
def served_there(disk: Path, tmp_path: Path) -> Iterator[Served]:
    served = Served(str(disk), tmp_path)
    yield served
    if served.process is not None:
        served.kill()


def _fill(served: Served, token: str, written: dict[str, int]) -> int:
    """Write until it is refused; returns with what."""
    for number in range(500):
        rid = new_id()
        told = served.put(token, env(f"/ada/x{rid}", text="t" * 4000))
        if told.status != 200:
            assert told.json["code"] == "store_unwritable", told.body
            return told.status
        written[f"/ada/x{rid}"] = told.json["rev"]
        assert number < 400
    raise AssertionError("the disk is larger than it was made")


def _all_there(served: Served, token: str, written: dict[str, int]) -> None:
    page = served.ask("GET", "/v1/listing?limit=1000", token=token)
    assert {row["name"]: row["rev"] for row in page.json["rows"]} == written


def test_a_full_disk_refuses_writes_and_goes_on_reading(served_there: Served, disk: Path) -> None:
    ada, written = served_there.user("ada"), dict[str, int]()
    unused = served_there.user("ada")
    served_there.start()
    assert _fill(served_there, ada, written) == 503
    assert len(written) > 20
    _all_there(served_there, ada, written)
    # A token's first use is written down; that it cannot be keeps nobody out.
    _all_there(served_there, unused, written)
    _remount(disk, "size=2m")
    told = served_there.put(ada, env("/ada/later"))
    assert told.status == 200
    written["/ada/later"] = 1
    served_there.kill()
    served_there.start()
    _all_there(served_there, ada, written)


def test_a_store_on_a_read_only_disk_says_what_is_wrong(disk: Path) -> None:
    open_database(str(disk)).close()
    _remount(disk, "ro")
    with pytest.raises(StoreUnwritable, match="cannot write"):
        open_database(str(disk))
    _remount(disk, "rw")
    open_database(str(disk)).close()


def test_a_backup_onto_a_full_disk_leaves_the_one_before(disk: Path, tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "store"))
    write_backup(database, disk / "b")
    good = (disk / "b").read_bytes()
    with database.writing() as t:
        data = os.urandom(800_000)
        t.keep_blob(hashlib.sha256(data).hexdigest(), data)
    with pytest.raises(StoreUnwritable):
        write_backup(database, disk / "b")
    assert (disk / "b").read_bytes() == good
    assert [file.name for file in disk.iterdir()] == ["b"]
    database.close()
