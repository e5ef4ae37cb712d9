"""Rows chained by their hashes, after RFC 6962's reasoning with a plain chain in place of a tree.

The hash of a row covers the hash of the row before it. So a row that is changed, taken out, put in or
moved breaks every hash after it, and whoever rewrote those as well ends at another last hash: a head
that was kept elsewhere tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from rhdesk.models import Audited, AuditHead

START: Final = AuditHead(number=0, hash="0" * 64)


def chained(head: AuditHead, row: Audited) -> Audited:
    """*row* as the next one after *head*, numbered and with its hash."""
    placed = msgspec.structs.replace(row, number=head.number + 1, hash="")
    return msgspec.structs.replace(placed, hash=_hash(head.hash, placed))


def flaws(rows: Iterable[Audited], heads: Iterable[AuditHead] = ()) -> Iterator[str]:
    """What is wrong with a chain that begins at its first row; nothing where all is well.

    Args:
        heads: Kept elsewhere, of any time; each must be found in the chain.
    """
    wanted = {head.number: head.hash for head in heads if head.number}
    last = START
    for row in rows:
        if row.number != last.number + 1:
            yield f"after row {last.number} comes row {row.number}"
        elif row.hash != _hash(last.hash, msgspec.structs.replace(row, hash="")):
            yield f"row {row.number} is not what was written, or not where it was"
        kept = wanted.pop(row.number, row.hash)
        if kept != row.hash:
            yield f"row {row.number} is another one than was seen before"
        last = AuditHead(number=row.number, hash=row.hash)
    for number in sorted(wanted):
        yield f"row {number} was seen before, and the audit ends at row {last.number}"


def _hash(before: str, row: Audited) -> str:
    data = msgspec.json.encode([row.number, row.at, row.who, row.action, row.about, row.note])
    return hashlib.sha256(before.encode() + data).hexdigest()
