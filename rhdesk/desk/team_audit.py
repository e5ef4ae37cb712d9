"""The audit of the store: read there, kept here, verified without it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rhdesk.desk.defaults import DefaultVerbs
from rhdesk.errors import BadInput, DamagedStore, StoreUnwritable
from rhdesk.models import Audited, AuditHead, Finding

if TYPE_CHECKING:
    from rhdesk.sync.remote import Remote


class TeamAuditVerbs(DefaultVerbs):
    async def team_audited(self, *, limit: int = 100, matching: str = "") -> list[Audited]:
        """Rows of the store's audit, newest first, for who is admin of all of it.

        Args:
            matching: Words that a row holds, in its action, name, person or note.

        Raises:
            Refused: You are not.
        """
        if not 1 <= limit <= 1000:
            raise BadInput("limit is 1 to 1000 rows")
        return await self.store_room.ask(
            lambda remote: remote.team(
                "GET", "/v1/audit", list[Audited], limit=limit, matching=matching
            )
        )

    async def download_audit(self, file: str) -> AuditHead:
        """Append to *file* the rows of the store's audit that it lacks, and return the last one's
        number and hash.

        The file is verified with it: what was there, and what comes, are one chain.

        Raises:
            DamagedStore: They are not: somebody changed the file, or the store's audit. Nothing is
                appended.
        """
        path, have = await asyncio.to_thread(_there, file)
        rows: list[Audited] = []
        while True:
            after = (rows or have)[-1].number if rows or have else 0
            page = await self.store_room.ask(partial(_page, after))
            if not page:
                break
            rows += page
        head = await self.store_room.ask(
            lambda remote: remote.team("GET", "/v1/audit/head", AuditHead)
        )
        told = _flaws(chain(have, rows), [head] if rows or have else [])
        if told:
            raise DamagedStore(f"the audit of the store and {path} do not fit together: {told[0]}")
        await asyncio.to_thread(_append, path, rows)
        last = (rows or have)[-1] if rows or have else None
        return AuditHead(number=last.number, hash=last.hash) if last else head

    async def verify_audit_file(
        self, file: str, heads: Sequence[AuditHead] = ()
    ) -> tuple[list[Finding], AuditHead]:
        """Everything wrong with a downloaded audit, and its last row; no network, no store.

        Args:
            heads: Kept elsewhere, of any time; without one, a file whose end was cut off is whole.
        """

        def look() -> tuple[list[Finding], AuditHead]:
            path = Path(file).expanduser()
            try:
                rows = _read(path)
                told = _flaws(iter(rows), heads)
            except DamagedStore as exc:
                rows, told = [], [str(exc)]
            remedy = "somebody, or the disk, changed it; download it again and compare"
            found = [
                Finding(store="audit", what=f"{path}: {what}", remedy=remedy) for what in told
            ]
            last = rows[-1] if rows else None
            return found, AuditHead(
                number=last.number if last else 0, hash=last.hash if last else "0" * 64
            )

        return await asyncio.to_thread(look)


async def _page(after: int, remote: Remote) -> list[Audited]:
    return await remote.team("GET", "/v1/audit/rows", list[Audited], after=after)


def _there(file: str) -> tuple[Path, list[Audited]]:
    path = Path(file).expanduser()
    return path, _read(path) if path.exists() else []


def _flaws(rows: Iterator[Audited], heads: Sequence[AuditHead]) -> list[str]:
    from rhdesk.chain import flaws

    return list(flaws(rows, heads))


def _read(path: Path) -> list[Audited]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}") from exc
    rows: list[Audited] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(msgspec.json.decode(line, type=Audited))
        except msgspec.DecodeError as exc:
            raise DamagedStore(f"line {number} of {path} is no row of an audit: {exc}") from exc
    return rows


def _append(path: Path, rows: Sequence[Audited]) -> None:
    try:
        with path.open("ab") as opened:
            opened.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
    except OSError as exc:
        raise StoreUnwritable(f"{path} cannot be written: {exc.strerror}") from exc
