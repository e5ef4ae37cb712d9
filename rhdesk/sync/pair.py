"""Two SQLite files that change together: what cannot be had again, and what can.

``outbox.db`` holds what only this machine knows: writes on their way, conflicts, refusals.
``mirror.db`` holds what the store told, and is made anew when it is lost, damaged, or of a newer
rhdesk. Both are open on one connection and kept by SQLite's most careful rules (a rollback
journal, ``synchronous=EXTRA``): a transaction over both is there whole or not at all, also after a
power cut.

Every row carries a hash of itself: SQLite notices a torn page seldom, and a flipped bit in a value
never.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from rhdesk.errors import SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.sync import salvage
from rhdesk.sync.turn import Turns

APPLICATION: Final = 0x72686473
_BUSY_S: Final = 30.0
_CACHE_KIB: Final = 16_384
_DAMAGED: Final = ("no such table", "no such column", "malformed", "schema")


class Table(NamedTuple):
    """One table: its columns in order, the key first, as SQLite declares them."""

    name: str
    """With its file: ``main.op``, ``mirror.base``."""
    columns: tuple[str, ...]

    @property
    def select(self) -> str:
        return f"SELECT {', '.join(self.columns)}, row_hash FROM {self.name}"

    @property
    def insert(self) -> str:
        names = (*self.columns, "row_hash")
        marks = ", ".join("?" * len(names))
        return f"INSERT OR REPLACE INTO {self.name} ({', '.join(names)}) VALUES ({marks})"


class Damaged(Exception):
    """A file cannot be trusted.

    Attributes:
        which: ``main`` or ``mirror``; empty where it is not known.
    """

    def __init__(self, which: str, what: str) -> None:
        super().__init__(what)
        self.which = which


def row_hash(values: Iterable[Any]) -> int:
    """CRC-32 notices every flipped bit and every torn page; it guards against accidents only."""
    return zlib.crc32("\n".join(map(str, values)).encode("utf-8", "surrogatepass"))


class Pair:
    """Both files of one folder, open. Blocking, and for one thread.

    Args:
        outbox: Migrations of ``outbox.db``, and of ``mirror.db``: statements that lead from one
            schema version to the next; append only.

    Raises:
        StoreUnwritable: The folder cannot be written.
        SetupFailed: The outbox is one of a newer rhdesk.
        Damaged: A file cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        outbox: Sequence[Sequence[str]],
        mirror: Sequence[Sequence[str]],
    ) -> None:
        self.folder = folder
        self._migrations = {"main": outbox, "mirror": mirror}
        self._files = {"main": folder / "outbox.db", "mirror": folder / "mirror.db"}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreUnwritable(f"{folder} cannot be made: {exc.strerror}") from exc
        self._turns = Turns(folder)
        self._db: sqlite3.Connection | None = None
        self._opened: dict[str, tuple[int, int]] = {}
        self._current: sqlite3.Connection | None = None

    @property
    def current(self) -> sqlite3.Connection:
        """The connection, for whoever has the turn."""
        if self._current is None:
            raise RuntimeError("the replica is used outside of a turn")
        return self._current

    def close(self) -> None:
        self._drop()
        self._turns.close()

    @contextmanager
    def reading(self) -> Generator[None]:
        """A look at both files as they stand together."""
        while True:
            if self._db is None or self._is_replaced():
                with self._turns.taken(alone=True), self._understood():
                    self._open()
            with self._turns.taken(alone=False), self._understood():
                # Somebody may have mended it between the two turns.
                if self._db is not None and not self._is_replaced():
                    with self._in_turn(self._db):
                        yield
                    return

    @contextmanager
    def writing(self) -> Generator[None]:
        """Everything inside, or nothing of it; when it is left, it is on the disk.

        Raises:
            StoreUnwritable: It is not written.
        """
        with self._turns.taken(alone=True), self._understood():
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                with self._in_turn(db):
                    yield
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise

    @contextmanager
    def _in_turn(self, db: sqlite3.Connection) -> Generator[None]:
        self._current = db
        try:
            yield
        finally:
            self._current = None

    def rows(self, table: Table, where: str = "", *values: Any) -> Iterator[Any]:
        """Rows of a table without their hash, each checked.

        Raises:
            Damaged: One does not match its hash.
        """
        for row in self.current.execute(f"{table.select} {where}", values):
            if row[-1] != row_hash(row[:-1]):
                raise Damaged(table.name.partition(".")[0], f"a row of {table.name}: {row[0]!r}")
            yield row[:-1]

    def put(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, each in place of one with the same key."""
        self.current.executemany(table.insert, ((*row, row_hash(row)) for row in rows))

    # ---- opening

    def _is_replaced(self) -> bool:
        """Whether another process put a new file in the place of one that is open here."""
        return any(_identity(self._files[name]) != seen for name, seen in self._opened.items())

    def _open(self) -> sqlite3.Connection:
        """The connection; called by whoever has the turn alone."""
        if self._db is not None and not self._is_replaced():
            return self._db
        self._drop()
        for file in self._files.values():
            with suppress(OSError):  # a folder that cannot be written can still be read
                os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(
            f"{self._files['main'].absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.execute("ATTACH ? AS mirror", (str(self._files["mirror"]),))
            for name in ("main", "mirror"):
                db.execute(f"PRAGMA {name}.journal_mode = DELETE")
                db.execute(f"PRAGMA {name}.synchronous = EXTRA")
                db.execute(f"PRAGMA {name}.cache_size = -{_CACHE_KIB}")
                # What was deleted is gone: for who may no longer read it, and for `salvage`.
                db.execute(f"PRAGMA {name}.secure_delete = ON")
                self._migrate(db, name)
        except BaseException:
            db.close()
            raise
        self._db = db
        self._opened = {name: _identity(file) for name, file in self._files.items()}
        return db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._opened = {}

    def _migrate(self, db: sqlite3.Connection, name: str) -> None:
        wanted = self._migrations[name]
        try:
            done: int = db.execute(f"PRAGMA {name}.user_version").fetchone()[0]
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError):
                raise
            raise Damaged(name, f"{self._files[name]}: {exc}") from exc
        if done > len(wanted) and name == "main":
            raise SetupFailed(
                f"{self._files[name]} is of a newer rhdesk (its schema is {done}, this one knows "
                f"{len(wanted)}); what waits in it is safe: use the newer one"
            )
        if done > len(wanted):
            raise Damaged(name, f"{self._files[name]} is of a newer rhdesk")
        if done == len(wanted):
            return
        if done and name == "main":
            shutil.copy2(self._files[name], self._files[name].with_suffix(f".{done}.db"))
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in (each for migration in wanted[done:] for each in migration):
                db.execute(statement)
            db.execute(f"PRAGMA {name}.user_version = {len(wanted)}")
            db.execute(f"PRAGMA {name}.application_id = {APPLICATION}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            raise

    # ---- damage

    def replace_mirror(self) -> None:
        """Put a damaged mirror aside, in place of one that was before; the next starts empty."""
        with self._turns.taken(alone=True), self._understood():
            is_done = self._is_replaced()
            self._drop()
            if not is_done:
                self._remove_old_mirrors()
                self._put_aside("mirror")

    def remove_mirror(self) -> None:
        """Leave nothing of what the store told."""
        with self._turns.taken(alone=True), self._understood():
            self._drop()
            self._put_aside("mirror")
            self._remove_old_mirrors()

    def _remove_old_mirrors(self) -> None:
        for file in self.folder.glob("mirror.damaged-*"):
            file.unlink(missing_ok=True)

    def replace_outbox(
        self, tables: Sequence[Table], finish: Callable[[Path, list[Quarantined]], None]
    ) -> None:
        """Put a new outbox in place of a damaged one, made of every row that is whole.

        Whenever this is cut off, either the old one is there and is mended again, or the new one is
        with all that it will have.

        Args:
            finish: What else to write into the new one; told where the old one will be, and what
                is not in the new one.
        """
        file = self._files["main"]
        with self._turns.taken(alone=True), self._understood():
            is_done = self._is_replaced()
            self._drop()
            if is_done or not file.exists():
                return
            self._roll_back()
            aside, made = _aside(file), file.with_name("outbox.mended.db")
            for left in (made, made.with_name(f"{made.name}-journal")):
                left.unlink(missing_ok=True)
            os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            whole, torn = _salvage(file, tables)
            with closing(sqlite3.connect(made, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = EXTRA")
                self._migrate(db, "main")
                db.execute("BEGIN IMMEDIATE")
                with self._in_turn(db):
                    for table, rows in whole.items():
                        self.put(table, rows)
                    finish(aside, torn)
                db.execute("COMMIT")
            os.link(file, aside)
            with suppress(FileNotFoundError):  # or it would be played back into the new one
                file.with_name(f"{file.name}-journal").rename(f"{aside}-journal")
            made.replace(file)
            _flush(self.folder)

    def check(self) -> None:
        """Have SQLite look at every page.

        Raises:
            Damaged: It finds fault.
        """
        for name, file in self._files.items():
            found = self.current.execute(f"PRAGMA {name}.quick_check").fetchone()[0]
            if found != "ok":
                raise Damaged(name, f"{file}: {found}")

    def which_is_damaged(self) -> str:
        """The file SQLite itself finds fault with; the mirror where it finds none."""
        for name, file in self._files.items():
            try:
                db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
                try:
                    if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                        return name
                finally:
                    db.close()
            except sqlite3.DatabaseError:
                return name
        return "mirror"

    def _roll_back(self) -> None:
        """Let SQLite undo a transaction that a crash cut off, if it still can."""
        with suppress(sqlite3.Error):
            db = sqlite3.connect(self._files["main"])
            with closing(db):
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def _put_aside(self, name: str) -> None:
        file = self._files[name]
        aside = _aside(file)
        # First what SQLite needs to read it: left behind, it would be played back into the new one.
        for suffix in ("-journal", ""):
            with suppress(FileNotFoundError):
                file.with_name(f"{file.name}{suffix}").rename(f"{aside}{suffix}")

    @contextmanager
    def _understood(self) -> Generator[None]:
        """SQLite's errors end here; those of a program that uses it wrongly do not."""
        try:
            yield
        except sqlite3.OperationalError as exc:
            text = str(exc)
            if "locked" in text or "busy" in text:
                raise StoreBusy(f"{self.folder} is in use by another program: {text}") from exc
            if any(words in text for words in _DAMAGED):
                raise Damaged("", f"{self.folder}: {text}") from exc
            raise StoreUnwritable(f"{self.folder} cannot be written: {text}") from exc
        except sqlite3.DatabaseError as exc:
            if type(exc) is not sqlite3.DatabaseError:
                raise
            raise Damaged("", f"{self.folder}: {exc}") from exc
        except StoreUnwritable:
            raise
        except OSError as exc:
            raise StoreUnwritable(f"{self.folder} cannot be written: {exc.strerror}") from exc


class Quarantined(NamedTuple):
    """A row that is not what was written."""

    table: str
    values: tuple[Any, ...]


def _salvage(
    file: Path, tables: Sequence[Table]
) -> tuple[dict[Table, list[Any]], list[Quarantined]]:
    """Every row of *file* that is whole, and those that are not."""
    whole: dict[Table, dict[Any, Any]] = {table: {} for table in tables}
    torn: dict[tuple[Table, Any], Quarantined] = {}
    by_width = {len(table.columns) + 1: table for table in tables}
    for row in salvage.rows(file.read_bytes()):
        table, values = by_width.get(len(row)), row[:-1]
        if table is None:
            continue
        if row[-1] == row_hash(values):
            whole[table][values[0]] = values
        else:
            torn[table, values[0]] = Quarantined(table.name, values)
    lost = [each for (table, key), each in torn.items() if key not in whole[table]]
    return {table: list(rows.values()) for table, rows in whole.items()}, lost


def _aside(file: Path) -> Path:
    """Where a damaged file goes."""
    return file.with_name(f"{file.stem}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.db")


def _flush(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
