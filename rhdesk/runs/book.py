"""The record of runs, of every line they printed and of what they read and wrote: one SQLite file,
readable by anybody.

Neither runs nor lines can be had again once their cluster is gone, so the file is kept by SQLite's
most careful rules (``journal_mode=DELETE``, ``synchronous=EXTRA``): what was committed survives a
power cut, on every SQLite there is.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import sqlite3
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk.errors import BadInput, NotFound, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Failure, LogHit, LogLine, Run, RunStatus
from rhdesk.models.level import level_of
from rhdesk.runs import lineage

APPLICATION: Final = 0x72686472
_BUSY_S: Final = 30.0
_MIGRATIONS: Final = (
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        function TEXT NOT NULL,
        method TEXT NOT NULL,
        cluster TEXT NOT NULL,
        env TEXT NOT NULL,
        status TEXT NOT NULL,
        submitted_at TEXT NOT NULL,
        started_at TEXT,
        ended_at TEXT,
        code_tree TEXT NOT NULL,
        inputs TEXT NOT NULL,
        inputs_text TEXT NOT NULL,
        result TEXT NOT NULL,
        result_text TEXT NOT NULL,
        failure_kind TEXT,
        failure_message TEXT,
        failure_traceback TEXT,
        lines INTEGER NOT NULL DEFAULT 0,
        pinned INTEGER NOT NULL DEFAULT 0,
        origin TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    CREATE INDEX run_function ON run (function, id);
    CREATE INDEX run_status ON run (status, id);
    CREATE TABLE log_line (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        stream TEXT NOT NULL,
        at REAL NOT NULL,
        level TEXT NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (run, seq)
    ) STRICT;
    CREATE INDEX log_level ON log_line (run, seq) WHERE level IN ('warning', 'error', 'critical');
    CREATE VIRTUAL TABLE log_word USING fts5 (
        text, content = 'log_line', content_rowid = 'id', detail = 'none'
    );
    CREATE TRIGGER log_line_added AFTER INSERT ON log_line BEGIN
        INSERT INTO log_word (rowid, text) VALUES (new.id, new.text);
    END;
    CREATE TRIGGER log_line_gone AFTER DELETE ON log_line BEGIN
        INSERT INTO log_word (log_word, rowid, text) VALUES ('delete', old.id, old.text);
    END;
    CREATE VIEW run_log AS
        SELECT run.run_id, run.function, run.cluster, log_line.seq, log_line.stream,
               datetime(log_line.at, 'unixepoch') AS at_utc, log_line.level, log_line.text
        FROM log_line JOIN run ON run.id = log_line.run ORDER BY log_line.run, log_line.seq;
    """,
    # Lines enter the index a batch at a time (`_index`): one by one costs three times as much.
    # A run may be written down late, from a journal; its own time says where it stands.
    """
    DROP TRIGGER log_line_added;
    DROP INDEX run_function;
    DROP INDEX run_status;
    CREATE INDEX run_newest ON run (submitted_at);
    CREATE INDEX run_function ON run (function, submitted_at);
    CREATE INDEX run_status ON run (status, submitted_at);
    """,
    lineage.SCHEMA,
    """
    ALTER TABLE run ADD COLUMN node TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN share_of TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX run_share ON run (share_of) WHERE share_of <> '';
    """,
)
"""Append only: the place of a migration is the schema version it leads to."""

_COLUMNS: Final = (
    "run_id, function, method, cluster, env, status, submitted_at, started_at, ended_at, code_tree, "
    "inputs, inputs_text, result, result_text, failure_kind, failure_message, failure_traceback, "
    "lines, pinned, origin, node, share_of"
)
_NEWEST_FIRST: Final = "ORDER BY submitted_at DESC, id DESC"
UNHEARD: Final = "unheard"
"""Kind of the failure of a run that was lost without a word from its cluster."""
_HEARD: Final = f"(coalesce(run.failure_kind, '') <> '{UNHEARD}')"
_ENDED: Final = "('succeeded', 'failed', 'cancelled', 'lost')"
_MAY_GO: Final = f"NOT pinned AND status IN {_ENDED} AND share_of = ''"
"""What retention may remove; the shares of a map go with it."""
_RUN_BYTES: Final = 500
"""What a run without lines takes, about."""
_GRAVE: Final = ("warning", "error", "critical")
"""The levels that `log_level` indexes, as it spells them."""
_CACHE_KIB: Final = 16_384
_STEP_BYTES: Final = 1024 * 1024
_MERGE_PAGES: Final = 1_000
_LIKE_CHARACTERS: Final = 20_000
"""SQLite refuses longer patterns."""
_TERMS: Final = 16
"""Words of a search that are looked up one by one; SQLite refuses expressions much deeper."""
_WORD: Final = re.compile(r"[^\W_]+")
_INDEXED: Final = re.compile(r"[\x01-\u024f\u0386-\u0523]+")
"""Text whose words the index and `_WORD` cut alike: European letters, digits and signs. Behind it
lie marks that join words, letters younger than the index's tables, and scripts without spaces."""


class RunBook:
    """The file, open. Blocking, and for one thread.

    Args:
        read_only: Open for reading; the file must be there.

    Raises:
        StoreUnwritable: Its folder cannot be written.
        SetupFailed: It is not a run book, or one of a newer rhdesk.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._file = file
        with self._understood():
            if not read_only:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(
                f"{file.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._db.create_function("holds", 2, _holds, deterministic=True)
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                self._prepare(read_only=read_only)
            except BaseException:
                self._db.close()
                raise
        self.edges = lineage.Edges(self._ask, self._change)

    def close(self) -> None:
        self._db.close()

    # ---- writing; `transaction` makes several writes one

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Everything inside, or nothing of it."""
        with self._understood():
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def record(self, runs: Sequence[Run]) -> None:
        """Write down each run as it stands now.

        How a run ended stays: only a LOST one may yet be explained by what its cluster tells later.
        """
        marks = ", ".join("?" * _COLUMNS.count(",")) + ", ?"
        with self.transaction():
            self._db.executemany(
                f"INSERT INTO run ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (run_id) DO UPDATE SET "
                "status = excluded.status, started_at = coalesce(started_at, excluded.started_at), "
                "ended_at = excluded.ended_at, result = excluded.result, "
                "result_text = excluded.result_text, failure_kind = excluded.failure_kind, "
                "failure_message = excluded.failure_message, "
                "failure_traceback = excluded.failure_traceback "
                "WHERE status NOT IN ('succeeded', 'failed', 'cancelled') "
                "AND excluded.status <> 'submitted' "
                "AND NOT (status = 'lost' AND excluded.status = 'running') "
                f"AND NOT (status = 'lost' AND excluded.status = 'lost' AND {_HEARD})",
                map(_row, runs),
            )

    def started(self, run_id: str, at: datetime) -> None:
        """A run written down before has begun."""
        with self.transaction():
            self._db.execute(
                "UPDATE run SET started_at = ?, status = 'running' "
                "WHERE run_id = ? AND status = 'submitted'",
                (_iso(at), run_id),
            )

    def add_lines(self, lines: Sequence[LogLine]) -> int:
        """Store lines, each once; returns by how many the unbroken log has grown.

        Raises:
            NotFound: A line is of a run that was never written down.
        """
        by_run: dict[str, list[LogLine]] = {}
        for line in lines:
            by_run.setdefault(line.run_id, []).append(line)
        added = 0
        with self.transaction():
            last = self._one("SELECT max(id) FROM log_line") or 0
            for run_id, those in by_run.items():
                key = self._key(run_id)
                self._db.executemany(
                    "INSERT INTO log_line (run, seq, stream, at, level, text) "
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run, seq) DO NOTHING",
                    (
                        (key, line.seq, line.stream, line.at, level_of(line.text), line.text)
                        for line in those
                    ),
                )
                added += self._extend(key)
                self._pass_on(key)
            self._index(after=last)
        return added

    def pin(self, run_id: str, *, pinned: bool) -> None:
        with self.transaction():
            self._db.execute("UPDATE run SET pinned = ? WHERE run_id = ?", (pinned, run_id))

    def remove(self, run_ids: Sequence[str]) -> int:
        """Remove runs that have ended, with their lines; returns how many."""
        with self.transaction():
            removed = sum(self._delete(run_id) for run_id in run_ids)
        self._give_back()
        return removed

    def retain(self, now: datetime, *, keep_days: float, keep_bytes: int) -> int:
        """Remove the oldest ended runs that are not pinned: those too old, then those too many."""
        old = _iso(now - timedelta(days=keep_days))
        too_old = f"SELECT run_id FROM run WHERE {_MAY_GO} AND ended_at < ?"
        removed = self._remove_in_steps(self._ids(too_old, old))
        while (excess := self.size_bytes() - keep_bytes) > 0:
            oldest = self._oldest(excess)
            if not oldest:
                break
            removed += self._remove_in_steps(oldest, down_to=keep_bytes)
        self._give_back()
        return removed

    # ---- reading

    def run(self, run_id: str) -> Run:
        """A run by its id, by the unique beginning of one, or ``last``.

        Raises:
            NotFound: There is none.
            BadInput: Several begin so.
        """
        with self._understood():
            if run_id == "last":
                rows = self._rows(f"WHERE share_of = '' {_NEWEST_FIRST} LIMIT 1")
            else:
                rows = self._rows("WHERE run_id = ?", run_id)
            if not rows and len(run_id) >= 4:
                rows = self._rows(
                    "WHERE run_id >= ? AND run_id < ? LIMIT 5", run_id, run_id + "\U0010ffff"
                )
            if not rows:
                rows = self._by_tail(run_id)
        if not rows:
            recent = [run.run_id for run in self.runs(limit=200)]
            near = difflib.get_close_matches(run_id, recent, 3)
            raise NotFound(run_id, kind="run", near=near)
        if len(rows) > 1:
            some = ", ".join(row[0] for row in rows)
            raise BadInput(f"several runs begin with {run_id!r}: {some}")
        return _run(rows[0])

    def runs(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        function: str = "",
        status: str = "",
        cluster: str = "",
        share_of: str = "",
    ) -> list[Run]:
        """Runs, newest first; the shares of a map only where they are asked for."""
        where, values = _where(function, status, cluster, share_of)
        with self._understood():
            rows = self._rows(f"{where} {_NEWEST_FIRST} LIMIT ? OFFSET ?", *values, limit, offset)
        return [_run(row) for row in rows]

    def known(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Those of some runs that are in the book, by their whole ids."""
        with self._understood():
            rows = self._rows(
                "WHERE run_id IN (SELECT value FROM json_each(?))",
                msgspec.json.encode(list(run_ids)).decode(),
            )
        return {row[0]: _run(row) for row in rows}

    def count_runs(self, *, function: str = "", status: str = "", cluster: str = "") -> int:
        where, values = _where(function, status, cluster, "")
        return int(self._one(f"SELECT count(*) FROM run {where}", *values) or 0)

    def results(self) -> set[str]:
        """Hashes of the results that runs have."""
        with self._understood():
            return {row[0] for row in self._db.execute("SELECT DISTINCT result FROM run")} - {""}

    def unfinished(self) -> list[Run]:
        """Runs whose end their cluster has not told: those that run, and those lost with it."""
        with self._understood():
            rows = self._rows(
                f"WHERE status IN ('submitted', 'running') OR (status = 'lost' AND NOT {_HEARD}) "
                "ORDER BY submitted_at, id"
            )
        return [_run(row) for row in rows]

    def lines(self, run_id: str, start: int, stop: int) -> list[LogLine]:
        """Lines *start* to *stop*, without *stop*."""
        with self._understood():
            rows = self._db.execute(
                "SELECT seq, stream, at, text FROM log_line "
                "WHERE run = ? AND seq >= ? AND seq < ? ORDER BY seq",
                (self._key(run_id), start, stop),
            ).fetchall()
        return [LogLine(run_id, *row) for row in rows]

    def count_lines(self, run_id: str) -> int:
        return int(self._one("SELECT lines FROM run WHERE run_id = ?", run_id) or 0)

    def last_seq(self, run_id: str) -> int:
        """Number of the last line stored without a gap before it; -1 for none."""
        return self.count_lines(run_id) - 1

    def find_line(
        self, run_id: str, text: str, *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line that holds *text*, whatever its case.

        Args:
            after: Where to start; with *backwards* the lines before it are looked at.
        """
        condition, value = _holding(text)
        return self._next(run_id, condition, [value], after, backwards)

    def find_level(
        self, run_id: str, levels: Sequence[str], *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line of one of *levels*."""
        condition = f"level IN ({', '.join('?' * len(levels))})"
        if set(levels) <= set(_GRAVE):
            # Says nothing new, but says it in the index's words, so that SQLite may use the index.
            condition += " AND level IN ('warning', 'error', 'critical')"
        return self._next(run_id, condition, list(levels), after, backwards)

    def search(self, text: str, *, run_id: str = "", limit: int = 100) -> list[LogHit]:
        """Lines that hold every word of *text*, whatever its case, the newest lines first.

        A word of letters and digits is a whole word of the line; one with other signs in it
        (``loss=0.1``, ``W0101:``) stands in the line as it was typed.
        """
        terms = text.split()
        words: list[str] = []
        conditions, values = list[str](), list[Any]()
        for term in terms[:_TERMS]:
            found = _WORD.findall(term) if _INDEXED.fullmatch(term) else []
            words += found
            if found != [term]:
                condition, value = _holding(term)
                conditions.append(condition)
                values.append(value)
        if more := terms[_TERMS:]:
            conditions.append("holds(log_line.text, ?)")
            values.append("\n".join(more).casefold())
        source = "log_line"
        if words:
            source = "log_word CROSS JOIN log_line ON log_line.id = log_word.rowid"
            conditions.append("log_word MATCH ?")
            values.append(" AND ".join(f'"{word}"' for word in dict.fromkeys(words[:_TERMS])))
        if run_id:
            key = self._key(run_id)
            conditions.append("log_line.run = ?")
            values.append(key)
            if words:
                ends = "SELECT {}(id) FROM log_line WHERE run = ?"
                conditions.append(
                    f"log_word.rowid BETWEEN ({ends.format('min')}) AND ({ends.format('max')})"
                )
                values += [key, key]
        else:
            conditions.append("run.share_of = ''")  # a map has the lines of its shares
        newest_first = "log_word.rowid DESC" if words else "log_line.id DESC"
        columns = "run.run_id, seq, stream, at, log_line.text, function, cluster"
        with self._understood():
            rows = self._db.execute(
                f"SELECT {columns} FROM {source} CROSS JOIN run ON run.id = log_line.run "
                f"WHERE {' AND '.join(conditions) or 'true'} ORDER BY {newest_first} LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [LogHit(LogLine(*row[:5]), row[5], row[6]) for row in rows]

    def size_bytes(self) -> int:
        """Bytes in use in the file."""
        pages = int(self._one("PRAGMA page_count") or 0) - int(
            self._one("PRAGMA freelist_count") or 0
        )
        return pages * int(self._one("PRAGMA page_size") or 0)

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; nothing for a sound one."""
        with self._understood():
            found = [row[0] for row in self._db.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    # ---- underneath

    def _prepare(self, *, read_only: bool) -> None:
        if self._one("PRAGMA page_count") == 0:
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        else:
            self._refuse_others()
        if read_only:
            self._db.execute("PRAGMA query_only = ON")
            return
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA synchronous = EXTRA")
        if self._version() == len(_MIGRATIONS):
            return
        with self.transaction():
            version = self._version()
            for migration in _MIGRATIONS[version:]:
                for statement in _statements(migration):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {max(version, len(_MIGRATIONS))}")

    def _refuse_others(self) -> None:
        if self._one("PRAGMA application_id") != APPLICATION:
            raise SetupFailed(
                f"{self._file} is a database, but not a run book; move it away and rhdesk starts "
                "a new one"
            )
        version = self._version()
        if version > len(_MIGRATIONS):
            raise SetupFailed(
                f"{self._file} was written by a newer rhdesk (schema {version}, this one knows "
                f"{len(_MIGRATIONS)}); upgrade this one"
            )

    def _version(self) -> int:
        return int(self._one("PRAGMA user_version") or 0)

    def _key(self, run_id: str) -> int:
        found = self._one("SELECT id FROM run WHERE run_id = ?", run_id)
        if found is None:
            raise NotFound(run_id, kind="run")
        return int(found)

    def _extend(self, key: int) -> int:
        """Move a run's count over the lines that came without a gap; returns by how many.

        Lines arrive in order but for a resume that overlaps: what lies behind a gap is not counted
        until the gap is filled, so that a stream resumes in front of it.
        """
        (count,) = self._db.execute("SELECT lines FROM run WHERE id = ?", (key,)).fetchone()
        reached = count
        for (seq,) in self._db.execute(
            "SELECT seq FROM log_line WHERE run = ? AND seq >= ? ORDER BY seq", (key, count)
        ):
            if seq != reached:
                break
            reached += 1
        if reached > count:
            self._db.execute("UPDATE run SET lines = ? WHERE id = ?", (reached, key))
        return int(reached - count)

    def _pass_on(self, key: int) -> None:
        """Lines of a share are lines of its map too, each once, under the name of its node."""
        row = self._db.execute(
            "SELECT map.id, map.lines, share.passed, share.lines, share.node FROM run AS share "
            "JOIN run AS map ON map.run_id = share.share_of WHERE share.id = ?",
            (key,),
        ).fetchone()
        if row is None or row[2] == row[3]:
            return
        whole, reached, passed, lines, node = row
        self._db.execute(
            "INSERT INTO log_line (run, seq, stream, at, level, text) "
            "SELECT ?, ? + seq - ?, stream, at, level, ? || text FROM log_line "
            "WHERE run = ? AND seq >= ? AND seq < ? ORDER BY seq",
            (whole, reached, passed, f"{node} | ", key, passed, lines),
        )
        self._db.execute(
            "UPDATE run SET lines = ? WHERE id = ?", (reached + lines - passed, whole)
        )
        self._db.execute("UPDATE run SET passed = ? WHERE id = ?", (lines, key))

    def _index(self, *, after: int) -> None:
        """Make the lines behind row *after* searchable."""
        self._db.execute(
            "INSERT INTO log_word (rowid, text) SELECT id, text FROM log_line WHERE id > ?",
            (after,),
        )

    def _delete(self, run_id: str) -> int:
        gone = self._db.execute(
            f"DELETE FROM run WHERE run_id = ? AND status IN {_ENDED}", (run_id,)
        ).rowcount
        if gone:
            self.edges.run_goes(run_id)
            self._db.execute("DELETE FROM run WHERE share_of = ?", (run_id,))
        return gone

    def _remove_in_steps(self, run_ids: Sequence[str], *, down_to: int = 0) -> int:
        """Remove one after the other until the book is down to a size.

        In short transactions: others write between, and a disk that is nearly full has room for
        the journal of each.
        """
        removed = 0
        waiting = deque(run_ids)
        while waiting and (size := self.size_bytes()) > down_to:
            with self.transaction():
                while waiting and self.size_bytes() > max(down_to, size - _STEP_BYTES):
                    removed += self._delete(waiting.popleft())
        if removed:
            self._merge_index()
        return removed

    def _oldest(self, size_bytes: int) -> list[str]:
        """The oldest runs that may go, about as many as take so much room."""
        per_line = self.size_bytes() / (self._one("SELECT sum(lines) FROM run") or 1)
        found = list[str]()
        with self._understood():
            for run_id, lines in self._db.execute(
                f"SELECT run_id, lines FROM run WHERE {_MAY_GO} ORDER BY submitted_at, id"
            ):
                if size_bytes <= 0:
                    break
                found.append(run_id)
                size_bytes -= _RUN_BYTES + int(lines * per_line)
        return found

    def _merge_index(self) -> None:
        """Drop from the index what it only marked as gone, in steps others can write between."""
        pages = -_MERGE_PAGES  # the first step says that everything is to become one
        while True:
            before = self._db.total_changes
            with self.transaction():
                self._db.execute(
                    "INSERT INTO log_word (log_word, rank) VALUES ('merge', ?)", (pages,)
                )
            if self._db.total_changes - before < 2:
                return
            pages = _MERGE_PAGES

    def _give_back(self) -> None:
        """Shorten the file by its free pages."""
        if not self._db.in_transaction:
            with self._understood():
                # `execute` would stop after the first page: each is a step without a row.
                self._db.executescript("PRAGMA incremental_vacuum")

    def _one(self, sql: str, *values: Any) -> Any:
        with self._understood():
            row = self._db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._understood():
            return self._db.execute(sql, values).fetchall()

    def _change(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        with self.transaction():
            return self._db.executemany(sql, rows).rowcount

    def _ids(self, sql: str, *values: Any) -> list[str]:
        with self._understood():
            return [row[0] for row in self._db.execute(sql, values)]

    def _rows(self, clause: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(f"SELECT {_COLUMNS} FROM run {clause}", values).fetchall()

    def _by_tail(self, text: str) -> list[tuple[Any, ...]]:
        """Lists show the last digits of an id, where it differs: those are accepted too."""
        if len(text) < 6 or not text.isalnum():
            return []
        return self._rows(f"WHERE run_id LIKE ? {_NEWEST_FIRST} LIMIT 5", f"%{text}")

    def _next(
        self, run_id: str, condition: str, values: list[Any], after: int, backwards: bool
    ) -> int | None:
        way = "< ? ORDER BY seq DESC" if backwards else "> ? ORDER BY seq"
        found = self._one(
            f"SELECT seq FROM log_line WHERE run = ? AND {condition} AND seq {way} LIMIT 1",
            self._key(run_id),
            *values,
            after,
        )
        return None if found is None else int(found)

    @contextmanager
    def _understood(self) -> Generator[None]:
        """SQLite's errors end here."""
        try:
            yield
        except (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.InterfaceError,
            UnicodeEncodeError,
            OverflowError,
        ) as exc:
            raise BadInput(f"{self._file} cannot hold this: {exc}") from exc
        except sqlite3.OperationalError as exc:
            if getattr(exc, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise StoreBusy(
                    f"{self._file} is locked by another rhdesk for {_BUSY_S:g} s"
                ) from exc
            raise StoreUnwritable(f"{self._file} cannot be used: {exc}") from exc
        # The module stumbles over bytes of a damaged file in SQLite's own messages.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:
            raise SetupFailed(
                f"{self._file} is not a run book or is damaged ({exc}); move it away and rhdesk "
                "starts a new one, or repair it with: sqlite3 FILE .recover"
            ) from exc
        except OSError as exc:
            if isinstance(exc, StoreUnwritable):
                raise
            reason = exc.strerror or errno.errorcode.get(exc.errno or 0, "")
            raise StoreUnwritable(f"{self._file} cannot be written: {reason}") from exc


def _holding(text: str) -> tuple[str, str]:
    """A condition that a line holds *text*, whatever its case, and the value it asks for."""
    if text.isascii() and "\0" not in text and len(text) <= _LIKE_CHARACTERS:
        pattern = re.sub(r"([%_\\])", r"\\\1", text)
        return "log_line.text LIKE ? ESCAPE '\\'", f"%{pattern}%"
    return "holds(log_line.text, ?)", text.casefold()


def _holds(text: str, folded: str) -> bool:
    """LIKE for every alphabet; *folded* is one needle a line."""
    line = text.casefold()
    return all(needle in line for needle in folded.split("\n"))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _where(function: str, status: str, cluster: str, share_of: str) -> tuple[str, list[str]]:
    wanted = {"function": function, "status": status, "cluster": cluster}
    given = {column: value for column, value in wanted.items() if value}
    clause = " AND ".join(f"{column} = ?" for column in [*given, "share_of"])
    return f"WHERE {clause}", [*given.values(), share_of]


def _row(run: Run) -> tuple[Any, ...]:
    failure = run.failure
    return (
        run.run_id,
        run.function,
        run.method,
        run.cluster,
        run.env,
        run.status,
        _iso(run.submitted_at),
        _iso(run.started_at),
        _iso(run.ended_at),
        run.code_tree,
        run.inputs,
        run.inputs_text,
        run.result,
        run.result_text,
        failure.kind if failure else None,
        failure.message if failure else None,
        failure.traceback if failure else None,
        0,
        run.pinned,
        msgspec.json.encode(run.origin).decode(),
        run.node,
        run.share_of,
    )


def _run(row: tuple[Any, ...]) -> Run:
    failure = None
    if row[14]:
        failure = Failure(kind=row[14], message=row[15] or "", traceback=row[16] or "")
    return Run(
        run_id=row[0],
        function=row[1],
        method=row[2],
        cluster=row[3],
        env=row[4],
        status=RunStatus(row[5]),
        submitted_at=datetime.fromisoformat(row[6]),
        started_at=datetime.fromisoformat(row[7]) if row[7] else None,
        ended_at=datetime.fromisoformat(row[8]) if row[8] else None,
        code_tree=row[9],
        inputs=row[10],
        inputs_text=row[11],
        result=row[12],
        result_text=row[13],
        failure=failure,
        lines=row[17],
        pinned=bool(row[18]),
        origin=msgspec.json.decode(row[19]),
        node=row[20],
        share_of=row[21],
    )


def _iso(at: datetime | None) -> str | None:
    """UTC, so that the order of the texts is the order of the times."""
    return at.astimezone(UTC).isoformat() if at else None
