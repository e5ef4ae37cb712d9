"""fsck and rebuild at a real desk: silent while all is well, and plain when something is not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.models import Finding, LogLine, Record, Run, RunStatus
from rhdesk.rns import index
from rhdesk.sync.care import examine as examine_replica
from rhdesk.sync.replica import SqliteReplica
from rhdesk.wire.payload import Payload

REF = "refs/rhdesk/names"


class Place:
    """A project with everything in it that a desk keeps."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "project"
        self.settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
        self.data = self.settings.data_dir
        self.top.mkdir()

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.top), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def file(self, name: str) -> Path:
        return self.top / "rh" / name / "config.json"

    @property
    def index(self) -> Path:
        (file,) = (self.settings.cache_dir / "names").glob("*.db")
        return file

    async def fsck(self, *, mend: bool = False) -> list[Finding]:
        """As a new process would see it."""
        async with AsyncDesk.open(self.settings) as desk:
            return await desk.fsck(mend=mend)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    place.git("init", "-q")
    monkeypatch.chdir(place.top)
    (place.top / "app.py").write_text("def train(x=1):\n    return x\n")
    async with AsyncDesk.open(place.settings) as desk:
        await desk.save(Record(name="~/x", resource_type="blob", config={"a": 1}))
        await desk.save(Record(name="~/x", resource_type="blob", config={"a": 2}))
        await desk.save(Record(name="~/team/y", resource_type="blob", config={"a": 1}))
        await desk.save_target("app.py:train", "~/train")
        payload = b"".join(bytes(piece) for piece in Payload.of_call((1,), {}).pieces())
        digest, text = desk.results.keep(payload)
        desk.results.flush()
        run = Run(
            run_id="r" * 32,
            function="~/train",
            cluster="here",
            submitted_at=datetime.now(UTC),
            ended_at=datetime.now(UTC),
            status=RunStatus.SUCCEEDED,
            result=digest,
            result_text=text,
        )
        desk.recorder.submitted(run)
        stored = desk.recorder.lines(
            [LogLine(run.run_id, seq, "stdout", 1.0, f"line {seq}") for seq in range(10)]
        )
        stored.result(30)
        desk.recorder.ended(run)
    return place


def whats(found: list[Finding]) -> str:
    return "\n".join(
        f"{each.store} {each.is_mended} {each.what} [{each.remedy}]" for each in found
    )


async def test_nothing_is_found_at_a_healthy_desk(place: Place) -> None:
    assert await place.fsck() == []
    assert await place.fsck(mend=True) == []


async def test_nothing_is_found_or_made_where_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    monkeypatch.chdir(place.top)
    assert await place.fsck() == []
    assert not place.data.exists()


# ---- names


async def test_a_broken_file_is_found_with_its_line_and_left_to_the_person(place: Place) -> None:
    place.file("x").write_text('{\n "a": oops\n}')
    for mend in (False, True):
        (found,) = await place.fsck(mend=mend)
        assert found.store == "names"
        assert "~/x cannot be read" in found.what
        assert "line 2" in found.what
        assert "rhdesk history ~/x" in found.remedy
        assert not found.is_mended
    assert place.file("x").read_text() == '{\n "a": oops\n}'


async def test_a_lost_blob_of_a_current_file_is_written_again(place: Place) -> None:
    blob = place.git("hash-object", str(place.file("x")))
    loose = place.top / ".git/objects" / blob[:2] / blob[2:]
    loose.unlink()
    (found,) = await place.fsck()
    assert blob in found.what
    assert "--mend" in found.remedy
    (found,) = await place.fsck(mend=True)
    assert found.is_mended
    assert await place.fsck() == []
    assert place.git("fsck", "--strict") == ""


async def test_a_flipped_bit_in_git_is_found_and_mended_from_the_file(place: Place) -> None:
    blob = place.git("hash-object", str(place.file("x")))
    loose = place.top / ".git/objects" / blob[:2] / blob[2:]
    data = bytearray(loose.read_bytes())
    data[len(data) // 2] ^= 4
    loose.chmod(0o644)
    loose.write_bytes(data)
    (found,) = await place.fsck()
    assert blob in found.what
    assert not found.is_mended
    (found,) = await place.fsck(mend=True)
    assert found.is_mended
    assert (place.top / f".git/rhdesk-damaged-{blob}").read_bytes() == bytes(data)
    assert await place.fsck() == []


async def test_a_lost_version_that_is_nowhere_else_is_told_every_time(place: Place) -> None:
    path = place.git("ls-tree", "-r", "--name-only", f"{REF}~3")
    blob = place.git("rev-parse", f"{REF}~3:{path}")
    (place.top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for mend in (False, True):
        (found,) = await place.fsck(mend=mend)
        assert blob in found.what
        assert "git fetch" in found.remedy


async def test_a_lost_commit_is_told(place: Place) -> None:
    commit = place.git("rev-parse", f"{REF}~1")
    (place.top / ".git/objects" / commit[:2] / commit[2:]).unlink()
    found = await place.fsck()
    assert any(each.store == "names" and not each.is_mended for each in found)


async def test_what_a_killed_save_left_is_removed_and_told(place: Place) -> None:
    left = place.top / "rh/x/.config.json.12345"
    left.write_text("{")
    (found,) = await place.fsck()
    assert found.is_mended
    assert "~/x" in found.what
    assert not left.exists()
    assert await place.fsck() == []


async def test_a_lock_of_a_killed_git_is_found_and_mended(place: Place) -> None:
    lock = place.top / ".git" / f"{REF}.lock"
    lock.write_text("")
    os.utime(lock, (time.time() - 600, time.time() - 600))
    (found,) = await place.fsck()
    assert not found.is_mended
    (found,) = await place.fsck(mend=True)
    assert found.is_mended
    assert not lock.exists()


async def test_files_that_no_name_spells_are_told(place: Place) -> None:
    for folder in ("My Folder", "x/inner"):
        file = place.top / "rh" / folder / "config.json"
        file.parent.mkdir()
        shutil.copy(place.file("x"), file)
    found = await place.fsck()
    assert len(found) == 2
    assert "My Folder" in whats(found)
    assert "~/x is a resource" in whats(found)


# ---- the index


async def test_a_damaged_index_is_made_anew_and_told(place: Place) -> None:
    with sqlite3.connect(place.index) as db:
        db.execute("UPDATE resource SET config = '{}' WHERE name = 'x'")
    db.close()
    (found,) = await place.fsck()
    assert (found.store, found.is_mended) == ("index", True)
    assert await place.fsck() == []


async def test_an_index_that_differs_from_git_and_files_is_found(place: Place) -> None:
    """Every hash fits, and still it is wrong: a row that is not there."""
    with sqlite3.connect(place.index) as db:
        (row,) = db.execute("SELECT * FROM resource WHERE name = 'x'").fetchall()
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(resource)")]
    db.close()
    told = dict(zip(columns, row, strict=True))
    told.pop("row_hash")
    wrong = index.Row(**{**told, "config": '{"a":7}'})
    opened = index.Index(place.index)
    opened.write([wrong], commit=None)
    opened.close()
    (found,) = await place.fsck()
    assert (found.store, found.is_mended, found.remedy) == ("index", False, "rhdesk rebuild")
    (found,) = await place.fsck(mend=True)
    assert (found.store, found.is_mended) == ("index", True)
    assert await place.fsck() == []


async def test_rebuild_makes_the_index_anew_and_says_so(place: Place) -> None:
    async with AsyncDesk.open(place.settings) as desk:
        before = await desk.resources()
        with sqlite3.connect(place.index) as db:
            db.execute("INSERT INTO fact VALUES ('by hand', 'x')")
        db.close()
        (done,) = await desk.rebuild()
        assert "3 names" in done.what
        assert done.is_mended
        assert await desk.resources() == before
    with sqlite3.connect(place.index) as db:
        assert db.execute("SELECT key FROM fact WHERE key = 'by hand'").fetchall() == []
    db.close()


# ---- runs, results, code


async def test_a_damaged_run_book_is_found(place: Place) -> None:
    data = bytearray((place.data / "runs.db").read_bytes())
    data[5000:9000] = b"\x07" * 4000
    (place.data / "runs.db").write_bytes(data)
    found = [each for each in await place.fsck() if each.store == "runs"]
    assert found
    assert "sqlite3" in found[0].remedy
    assert not any(each.is_mended for each in found)


async def test_an_index_of_lines_that_differs_from_them_is_mended(place: Place) -> None:
    with sqlite3.connect(place.data / "runs.db") as db:
        db.execute("INSERT INTO log_word (log_word) VALUES ('delete-all')")
    db.close()
    (found,) = await place.fsck()
    assert (found.store, found.is_mended) == ("runs", False)
    (found,) = await place.fsck(mend=True)
    assert found.is_mended
    assert await place.fsck() == []
    async with AsyncDesk.open(place.settings) as desk:
        assert len(await desk.search("line")) == 10


async def test_lines_that_are_gone_are_told(place: Place) -> None:
    with sqlite3.connect(place.data / "runs.db") as db:
        db.execute("DELETE FROM log_line WHERE seq = 4")
    db.close()
    (found,) = await place.fsck()
    assert "lacks lines" in found.what


async def test_a_journal_left_behind_is_written_into_the_book(place: Place) -> None:
    run = Run(run_id="j" * 32, function="f", cluster="here", submitted_at=datetime.now(UTC))
    child = (
        "import os; from pathlib import Path; from datetime import UTC, datetime\n"
        "from rhdesk.models import Run\n"
        "from rhdesk.runs.recorder import Journal, Submitted, _encode\n"
        f"j = Journal(Path({str(place.data / 'journal')!r}))\n"
        f"j.append(_encode(Submitted(Run(run_id={run.run_id!r}, function='f', cluster='here',\n"
        "    submitted_at=datetime.now(UTC)))), 1); os._exit(0)\n"
    )
    python(child)
    (found,) = await place.fsck()
    assert found.is_mended
    assert "journal" in found.what
    async with AsyncDesk.open(place.settings) as desk:
        assert (await desk.run(run.run_id)).function == "f"


@pytest.mark.parametrize("store", ["results", "code"])
async def test_a_kept_file_whose_bits_flipped_is_moved_aside(place: Place, store: str) -> None:
    file = next((place.data / store).glob("??/*"))
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    found = await place.fsck()
    assert [each.store for each in found] == [store]
    assert "does not match its name" in found[0].what
    found = await place.fsck(mend=True)
    assert any(each.is_mended and "moved to" in each.what for each in found)
    assert (place.data / "damaged" / store / file.name).read_bytes() == bytes(data)
    # It is gone now, which is told to whoever asks; saving, or running, again brings it back.
    (left,) = await place.fsck()
    assert left.store == store
    assert not left.is_mended


async def test_code_that_is_gone_is_told_with_the_name_that_needs_it(place: Place) -> None:
    shutil.rmtree(place.data / "code")
    (found,) = await place.fsck()
    assert "~/train needs app.py" in found.what
    async with AsyncDesk.open(place.settings) as desk:
        await desk.save_target("app.py:train", "~/train")
    assert await place.fsck() == []


# ---- the replica of a store


def test_a_damaged_replica_is_mended_and_told(tmp_path: Path) -> None:
    def examined() -> list[Finding]:
        replica = SqliteReplica(tmp_path / "replica")
        try:
            return examine_replica(replica)
        finally:
            replica.close()

    assert examined() == []
    for which in ("mirror", "outbox"):
        file = tmp_path / "replica" / f"{which}.db"
        file.write_bytes(b"\x07" * 4096 + file.read_bytes()[4096:])
        found = examined()
        assert [(each.store, each.is_mended) for each in found] == [("sync", True)]
        assert f"{which}.db was damaged" in found[0].what
        assert f"{which}.damaged-" in found[0].what
        assert examined() == []


# ---- the command


def python(source: str) -> None:
    subprocess.run([sys.executable, "-c", source], check=True)


def rhdesk(place: Place, *typed: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "RHDESK_DATA_DIR": str(place.settings.data_dir),
        "RHDESK_CACHE_DIR": str(place.settings.cache_dir),
    }
    return subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", *typed],
        cwd=place.top, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip


async def test_the_command_ends_with_1_as_long_as_something_is_wrong(place: Place) -> None:
    done = rhdesk(place, "fsck")
    assert (done.returncode, done.stderr) == (0, "nothing is wrong\n")
    with sqlite3.connect(place.data / "runs.db") as db:
        db.execute("INSERT INTO log_word (log_word) VALUES ('delete-all')")
    db.close()
    done = rhdesk(place, "fsck")
    assert done.returncode == 1
    assert "mend: rhdesk fsck --mend" in done.stdout
    done = rhdesk(place, "fsck", "--mend", "--json")
    assert done.returncode == 0
    assert '"is_mended":true' in done.stdout
    assert rhdesk(place, "fsck").returncode == 0
    assert "3 names" in rhdesk(place, "rebuild").stdout
