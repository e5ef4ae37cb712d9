"""A look at the record of runs: the book, the journals beside it, and the results it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from rhdesk import hashed_files
from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk.models import Finding
from rhdesk.runs.book import RunBook
from rhdesk.runs.recorder import adopt, left_behind

_BUSY_S: Final = 30.0
_SHOWN: Final = 5


def examine(data_dir: Path, *, mend: bool) -> list[Finding]:
    """Everything that is wrong with the record in *data_dir*.

    What processes that died left in their journals is written into the book, asked or not: every
    command that opens the book does so.
    """
    file = data_dir / "runs.db"
    waiting = left_behind(data_dir / "journal")
    if not file.exists() and not waiting:
        return []
    try:
        book = RunBook(file)
        try:
            adopted = adopt(data_dir / "journal", book)
        finally:
            book.close()
    except RhdeskError as exc:
        return [Finding(store="runs", what=str(exc), remedy=_recovery(file))]
    found = list(_journals(data_dir / "journal", adopted))
    try:
        with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as db:
            found += _book(db, file, mend=mend)
            found += _results(db, data_dir / "results")
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        is_busy = getattr(exc, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        found.append(
            Finding(
                store="runs",
                what=f"{file} cannot be examined: {clean(str(exc))}",
                remedy="try again when nothing else writes it" if is_busy else _recovery(file),
            )
        )
    aside = data_dir / "damaged" / "results"
    found += hashed_files.examine(data_dir / "results", store="results", aside=aside, mend=mend)
    return found


def _journals(folder: Path, adopted: int) -> Iterator[Finding]:
    if adopted:
        yield Finding(
            store="runs",
            what=f"{adopted} journal{'s' if adopted > 1 else ''} of processes that died "
            "held what the book did not; it is written into it",
            is_mended=True,
        )
    for file in left_behind(folder):
        yield Finding(
            store="runs",
            what=f"{file} was left by a process that died, and cannot be taken over from here",
            remedy="open a desk as the user who owns it, with the newest rhdesk that was used",
        )


def _book(db: sqlite3.Connection, file: Path, *, mend: bool) -> Iterator[Finding]:
    wrong = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
    for what in wrong if wrong != ["ok"] else ():
        yield Finding(
            store="runs",
            what=f"{file} is damaged: {clean(what)}",
            remedy=_recovery(file),
        )
    orphans = len(db.execute("PRAGMA foreign_key_check").fetchall())
    if orphans:
        yield Finding(
            store="runs",
            what=f"{file} holds {orphans:,} rows of runs that are not in it",
            remedy=f"sqlite3 {file} 'PRAGMA foreign_key_check' lists them",
        )
    short = db.execute(
        "SELECT run_id FROM run WHERE lines > (SELECT count(*) FROM log_line "
        "WHERE log_line.run = run.id AND seq < run.lines)"
    ).fetchall()
    for (run_id,) in short[:_SHOWN]:
        yield Finding(
            store="runs",
            what=f"the log of run {clean(run_id)} lacks lines that were stored",
            remedy="none here; a backup of the data folder may have them",
        )
    try:
        _search_index(db, "integrity-check")
    except sqlite3.DatabaseError:
        if mend:
            db.execute("INSERT INTO log_word (log_word) VALUES ('rebuild')")
        yield Finding(
            store="runs",
            what=f"the index for searching the lines in {file} differs from them"
            + ("; it is made anew" if mend else ""),
            is_mended=mend,
            remedy="" if mend else "rhdesk fsck --mend makes it anew",
        )


def _recovery(file: Path) -> str:
    return (
        f"sqlite3 {file} .recover | sqlite3 {file}.recovered, and put that in its place; "
        "what cannot be recovered is lost"
    )


def _search_index(db: sqlite3.Connection, command: str) -> None:
    db.execute("INSERT INTO log_word (log_word, rank) VALUES (?, 1)", (command,))


def _results(db: sqlite3.Connection, folder: Path) -> Iterator[Finding]:
    gone = 0
    for run_id, digest in db.execute("SELECT run_id, result FROM run WHERE result <> ''"):
        if not (folder / digest[:2] / digest).exists():
            gone += 1
            if gone <= _SHOWN:
                yield Finding(
                    store="results",
                    what=f"the result of run {clean(run_id)} is gone; its description is kept",
                    remedy=f"run it again, or remove the run: rhdesk rm {clean(run_id)[-10:]}",
                )
    if gone > _SHOWN:
        yield Finding(
            store="results",
            what=f"the results of {gone - _SHOWN:,} more runs are gone",
            remedy="run them again, or remove them: rhdesk rm RUN",
        )
