"""Which run read or wrote what: edges, kept in the run book beside the runs.

Like runs they can be had nowhere else, so they are written with the run, in its transaction. They
stay when retention takes the run. Only of runs that read something and made nothing, the newest of
each function stands for those before it, once they are gone: a function that is called a million
times does not fill the disk with edges that all say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from rhdesk.models import Edge

SCHEMA: Final = """
    CREATE TABLE edge (
        run_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('read', 'wrote')),
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        at TEXT NOT NULL,
        function TEXT NOT NULL,
        source TEXT NOT NULL,
        leads INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run_id, kind, name, version)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX edge_name ON edge (name, kind, leads, function, version, at);
    CREATE INDEX edge_wrote ON edge (name, version, at) WHERE kind = 'wrote';
"""
"""`leads` is 1 on what a run read that wrote something: a question about what came of a name looks
at those alone, however often the name was read."""

Row = tuple[str, str, str, str, str, str, str]
"""An edge as the table has it: run_id, kind, name, version, at, function, source."""

_COLUMNS: Final = "run_id, kind, name, version, at, function, source"
_ADD: Final = f"INSERT INTO edge ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_LEADS: Final = (
    "UPDATE edge SET leads = 1 WHERE run_id = ?1 AND kind = 'read' AND leads = 0 "
    "AND EXISTS (SELECT 1 FROM edge WHERE run_id = ?1 AND kind = 'wrote')"
)
_CALLED: Final = "UPDATE edge SET function = ? WHERE run_id = ? AND function = ''"
_CALLED_BY_RUN: Final = (
    "UPDATE edge SET function = (SELECT function FROM run WHERE run.run_id = ?1) "
    "WHERE run_id = ?1 AND function = '' AND EXISTS (SELECT 1 FROM run WHERE run.run_id = ?1)"
)
_FUNCTIONS: Final = 1_000
"""Functions, with versions, that read a name and made nothing: so many are told."""


class Edges:
    """The edges of a run book. Blocking, and for the book's one thread.

    Args:
        ask: Runs a statement that reads.
        change: Runs a statement once for each row; returns how many rows it changed.
    """

    def __init__(
        self,
        ask: Callable[..., list[tuple[Any, ...]]],
        change: Callable[[str, Iterable[Sequence[Any]]], int],
    ) -> None:
        self._ask = ask
        self._change = change

    # ---- writing, inside the book's transaction

    def add_read(self, rows: Sequence[Row]) -> None:
        """What runs read that are being submitted: they have written nothing yet."""
        self._change(_ADD, rows)
        # What a run did was perhaps written down before what it is: another process did both.
        self._change(_CALLED, {row[0]: (row[5], row[0]) for row in rows}.values())

    def add(self, edges: Iterable[Edge]) -> int:
        """Any edges, each once; returns how many are new."""
        rows = [row(edge) for edge in edges]
        added = self._change(_ADD, rows)
        if added:
            run_ids = [(run_id,) for run_id in dict.fromkeys(r[0] for r in rows)]
            self._change(_LEADS, run_ids)
            self._change(_CALLED_BY_RUN, run_ids)
        return added

    def run_goes(self, run_id: str) -> None:
        """A run leaves the book: what it read and made nothing of is told by a later one."""
        self._change(
            "DELETE FROM edge WHERE run_id = ? AND kind = 'read' AND leads = 0 AND EXISTS ("
            "SELECT 1 FROM edge AS later WHERE later.name = edge.name AND later.kind = 'read' "
            "AND later.leads = 0 AND later.function = edge.function "
            "AND later.version = edge.version "
            "AND (later.at, later.run_id) > (edge.at, edge.run_id))",
            [(run_id,)],
        )

    # ---- reading

    def of_run(self, run_id: str) -> list[Edge]:
        """What a run read and wrote, in the order of time."""
        return self._edges("WHERE run_id = ? ORDER BY at, kind, name, version", run_id)

    def written_by(self, run_ids: Sequence[str]) -> list[Edge]:
        """What runs wrote, in the order of the runs."""
        return self._of_runs(run_ids, "wrote")

    def read_by(self, run_ids: Sequence[str]) -> list[Edge]:
        return self._of_runs(run_ids, "read")

    def writers(self, name: str, version: str, before: datetime | None, limit: int) -> list[Edge]:
        """The runs that wrote a version, newest first.

        Of a name without version, or one written by who knew none, the last that wrote it
        *before*.
        """
        if version and (exact := self._writers(name, "version = ?", version, limit=limit)):
            return exact
        at = _iso(before) if before else "~"
        known = "version = '' AND at <= ?" if version else "at <= ?"
        return self._writers(name, known, at, limit=1)

    def versions(self, name: str, beginning: str) -> list[str]:
        """Versions of a name that a run touched and that begin so; not more than five."""
        rows = self._ask(
            "SELECT DISTINCT version FROM edge "
            "WHERE name = ? AND version >= ? AND version < ? ORDER BY version LIMIT 5",
            name,
            beginning,
            beginning + "\U0010ffff",
        )
        return [row[0] for row in rows]

    def readers(
        self, name: str, versions: Sequence[str] | None, since: datetime | None, limit: int
    ) -> list[Edge]:
        """The runs that read a name and made something, newest first; then, of those that made
        nothing, the newest of each function.

        Args:
            versions: Only at these, or at none; None for whatever version.
            since: Of reads that know no version, those from here to the name's next write.
        """
        wanted, values = "true", list[Any]()
        if versions is not None:
            wanted = "(version = '' OR version IN (SELECT value FROM json_each(?)))"
            values.append(msgspec.json.encode(list(versions)).decode())
        if since is not None:
            after = _iso(since)
            wanted += (
                " AND (version <> '' OR (at >= ? AND at <= coalesce((SELECT min(at) FROM edge AS w "
                "WHERE w.name = ? AND w.kind = 'wrote' AND w.at > ?), '~')))"
            )
            values += [after, name, after]
        where = f"WHERE name = ? AND kind = 'read' AND leads = ? AND {wanted}"
        found = self._edges(f"{where} ORDER BY at DESC LIMIT ?", name, 1, *values, limit)
        return found + self._ends(name, where, values)

    def runs(self, *, after: str = "", limit: int = 500) -> list[str]:
        """Ids of the runs that have edges, in order."""
        rows = self._ask(
            "SELECT DISTINCT run_id FROM edge WHERE run_id > ? ORDER BY run_id LIMIT ?",
            after,
            limit,
        )
        return [row[0] for row in rows]

    def runs_like(self, run_id: str) -> list[str]:
        """Ids that begin, or end, with some digits: of runs that may be gone from the book."""
        beginning = self._ask(
            "SELECT DISTINCT run_id FROM edge WHERE run_id >= ? AND run_id < ? LIMIT 5",
            run_id,
            run_id + "\U0010ffff",
        )
        if beginning or len(run_id) < 6 or not run_id.isalnum():
            return [row[0] for row in beginning]
        tail = "SELECT DISTINCT run_id FROM edge WHERE run_id LIKE ? LIMIT 5"
        return [row[0] for row in self._ask(tail, f"%{run_id}")]

    # ---- underneath

    def _ends(self, name: str, where: str, values: Sequence[Any]) -> list[Edge]:
        """The newest read of each function at each version, hopping over those before it."""
        found: list[Edge] = []
        at = ("", "")
        first = True
        for _ in range(_FUNCTIONS):
            hop = "AND (function, version) > (?, ?) " if not first else ""
            nearest = self._ask(
                "SELECT function, version FROM edge WHERE name = ? AND kind = 'read' AND leads = 0 "
                f"{hop}ORDER BY function, version LIMIT 1",
                name,
                *(() if first else at),
            )
            if not nearest:
                break
            first, at = False, nearest[0]
            found += self._edges(
                f"{where} AND function = ? AND version = ? ORDER BY at DESC LIMIT 1",
                name,
                0,
                *values,
                *at,
            )
        return sorted(found, key=lambda edge: edge.at, reverse=True)

    def _writers(self, name: str, condition: str, *values: Any, limit: int) -> list[Edge]:
        return self._edges(
            f"WHERE name = ? AND kind = 'wrote' AND {condition} ORDER BY at DESC LIMIT ?",
            name,
            *values,
            limit,
        )

    def _of_runs(self, run_ids: Sequence[str], kind: str) -> list[Edge]:
        wanted = msgspec.json.encode(list(run_ids)).decode()
        found = self._edges(
            "WHERE run_id IN (SELECT value FROM json_each(?)) AND kind = ? ORDER BY name, version",
            wanted,
            kind,
        )
        place = {run_id: number for number, run_id in enumerate(run_ids)}
        return sorted(found, key=lambda edge: place[edge.run_id])

    def _edges(self, clause: str, *values: Any) -> list[Edge]:
        return [
            Edge(
                run_id=run_id,
                kind=kind,
                name=name,
                version=version,
                at=datetime.fromisoformat(at),
                function=function,
                source=source,
            )
            for run_id, kind, name, version, at, function, source in self._ask(
                f"SELECT {_COLUMNS} FROM edge {clause}", *values
            )
        ]


def row(edge: Edge) -> Row:
    return (
        edge.run_id,
        edge.kind,
        edge.name,
        edge.version,
        _iso(edge.at),
        edge.function,
        edge.source,
    )


def _iso(at: datetime) -> str:
    """UTC, so that the order of the texts is the order of the times."""
    return at.astimezone(UTC).isoformat()
