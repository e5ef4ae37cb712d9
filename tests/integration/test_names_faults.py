"""Names under disks that fill up, bits that flip, and a crowd that writes all at once.

With RHDESK_SOAK=1 the crowd writes for a minute.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from rhdesk.config import Settings
from rhdesk.errors import StoreUnwritable
from rhdesk.models import Name, Record
from rhdesk.ports import NameStore
from rhdesk.rns.names import LocalNames
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.replica import SqliteReplica

SEED: Final = 20261123
CROWD: Final = 8
CROWD_S: Final = 60.0 if os.environ.get("RHDESK_SOAK") else 8.0
FLIPS: Final = 200
P = Name.parse


def record(name: str, **config: Any) -> Record:
    return Record(name=name, resource_type="function", config=config)


def opened(folder: Path) -> LocalNames:
    settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
    return LocalNames(settings, folder / "project")


def project(folder: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(folder / "project")], check=True)
    return folder


# ---- a disk without room, a disk that cannot be written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_on_a_full_disk_a_save_fails_before_it_says_saved(small_disk: Path) -> None:
    folder = project(small_disk)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(500_000))
    names = opened(folder)
    saved: dict[str, str] = {}
    dice = random.Random(SEED)

    def fill() -> None:
        for number in range(2_000):
            text = dice.randbytes(1_000).hex()
            found = names.save(record(f"~/x{number}", number=number, text=text))
            saved[found.name] = found.version

    with pytest.raises(StoreUnwritable):
        fill()
    assert len(saved) > 20
    for _ in range(5):
        with pytest.raises(StoreUnwritable):
            names.save(record("~/more", text=dice.randbytes(40_000).hex()))
    assert {found.name: found.version for found in names.names()} == saved
    names.close()

    names = opened(folder)
    assert {found.name: found.version for found in names.names()} == saved
    ballast.unlink()
    names.save(record("~/after", a=1))
    assert {found.name for found in names.names()} == {*saved, "~/after"}
    assert [each for each in names.examine(mend=False) if not each.is_mended] == []
    names.close()


def test_on_a_disk_that_turned_read_only_a_save_fails_and_reading_goes_on(
    small_disk: Path,
) -> None:
    folder = project(small_disk)
    names = opened(folder)
    names.save(record("~/x", a=1))
    names.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    names = opened(folder)
    for name in ("~/x", "~/new"):
        with pytest.raises(StoreUnwritable, match="nothing was saved"):
            names.save(record(name, a=2))
    with pytest.raises(StoreUnwritable):
        names.delete(P("~/x"))
    assert [(found.name, found.config["a"]) for found in names.names()] == [("~/x", 1)]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    names.save(record("~/x", a=2))
    assert names.load(P("~/x")).config["a"] == 2
    names.close()


# ---- flipped bits in the index


def content(file: Path) -> object:
    """What SQLite reads from the index, believing it; None if it finds fault."""
    try:
        with sqlite3.connect(file) as db:
            rows = db.execute(
                "SELECT name, resource_type, config, version, saved_at FROM resource ORDER BY name"
            ).fetchall()
            one = db.execute("SELECT config FROM resource WHERE name = 'n07'").fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    finally:
        db.close()
    return rows, one


def flipped(whole: bytes, dice: random.Random, file: Path) -> None:
    data = bytearray(whole)
    at = dice.randrange(len(data))
    data[at] ^= 1 << dice.randrange(8)
    for beside in (f"{file}-wal", f"{file}-shm"):
        Path(beside).unlink(missing_ok=True)
    file.write_bytes(data)


def test_flipped_bits_in_the_index_are_noticed_and_never_a_wrong_answer(tmp_path: Path) -> None:
    folder = project(tmp_path)
    names = opened(folder)
    for number in range(30):
        names.save(record(f"~/n{number:02d}", number=number, text="abc" * 20))
    before = names.names()
    names.close()
    (file,) = (folder / "cache" / "names").glob("*.db")
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = file.read_bytes()
    truth = content(file)
    assert truth is not None

    dice = random.Random(SEED)
    believed = tried = 0
    while believed < FLIPS:
        tried += 1
        assert tried < 50_000
        flipped(whole, dice, file)
        told = content(file)
        if told in (truth, None):
            continue
        believed += 1  # without a hash in each row this would have been the answer
        names = opened(folder)
        assert names.load(P("~/n07")) == before[7]
        assert names.names() == before
        names.close()
    assert believed == FLIPS


def test_any_flipped_bit_leaves_every_name_findable(tmp_path: Path) -> None:
    """Not only what a row says: also the pages that lead to it."""
    folder = project(tmp_path)
    names = opened(folder)
    for number in range(30):
        names.save(record(f"~/n{number:02d}", number=number))
    before = {found.name: found for found in names.names()}
    names.close()
    (file,) = (folder / "cache" / "names").glob("*.db")
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = file.read_bytes()
    dice = random.Random(SEED + 1)
    for _ in range(FLIPS):
        flipped(whole, dice, file)
        names = opened(folder)
        for name, found in before.items():
            assert names.load(P(name)) == found
        assert not names.exists(P("~/nowhere"))
        assert names.names() == list(before.values())
        names.close()


# ---- a crowd

WRITER: Final = """
import sys, time
from pathlib import Path
from rhdesk.config import Settings
from rhdesk.models import Name, Record
from rhdesk.rns.names import LocalNames
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.replica import SqliteReplica

folder, who, seconds, root = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]
if root == "~":
    names = LocalNames(
        Settings(data_dir=folder / "data", cache_dir=folder / "cache"), folder / "project"
    )
    list_all = names.names
else:
    replica = SqliteReplica(folder / "replica", user="ann")
    names = ReplicaNames(replica, folder="/ann", user="ann")
    names.close = replica.close
    list_all = lambda: names.names(folder="/")
print("ready", flush=True)
sys.stdin.readline()
number, give_up = 0, time.monotonic() + seconds
while time.monotonic() < give_up:
    number += 1
    name = f"{root}/shared" if number % 5 == 0 else f"{root}/{who}/n{number % 7}"
    saved = names.save(
        Record(name=name, resource_type="function", config={"who": who, "number": number})
    )
    print(saved.name, saved.version, flush=True)
    if number % 10 == 0:
        list_all()
names.close()
"""


def crowded(folder: Path, root: str) -> list[tuple[str, str]]:
    """What a crowd was told is saved."""
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), f"w{number}", str(CROWD_S), root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(CROWD)
    ]
    for each in crowd:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in crowd:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    acknowledged: list[tuple[str, str]] = []
    for each in crowd:
        out, err = each.communicate(timeout=CROWD_S + 120)
        assert (each.returncode, err) == (0, ""), "an error, such as: database is locked"
        acknowledged += [(line.split()[0], line.split()[1]) for line in out.splitlines()]
    print(f"{len(acknowledged)} saves of {CROWD} processes in {CROWD_S:g} s")
    # Each of its own, and all of one they share.
    assert len({name.rpartition("/n")[0] or name for name, _ in acknowledged}) == CROWD + 1
    return acknowledged


def lost(names: NameStore, acknowledged: list[tuple[str, str]]) -> list[tuple[str, str]]:
    kept = {
        name: {version.version for version in names.history(P(name), limit=100_000)}
        for name in {name for name, _ in acknowledged}
    }
    return [(name, version) for name, version in acknowledged if version not in kept[name]]


def test_a_crowd_that_writes_one_store_loses_nothing_and_is_never_locked_out(
    tmp_path: Path,
) -> None:
    folder = project(tmp_path)
    acknowledged = crowded(folder, "~")
    names = opened(folder)
    assert lost(names, acknowledged) == []
    command = ["git", "-C", str(folder / "project"), "rev-list", "--count", "refs/rhdesk/names"]
    count = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(count) == len(acknowledged), "each is a version of its own, and nothing else is"
    assert names.examine(mend=False) == []
    names.close()


def test_a_crowd_that_writes_the_replica_of_a_store_loses_nothing_either(tmp_path: Path) -> None:
    acknowledged = crowded(tmp_path, "/ann")
    replica = SqliteReplica(tmp_path / "replica", user="ann")
    assert lost(ReplicaNames(replica, folder="/ann", user="ann"), acknowledged) == []
    replica.close()
