"""Lanes, promotions and approvals in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rhdesk.access.levels import upwards
from rhdesk.models import Lane, Promotion
from rhdesk.server.rows import Execute, moment, seal, unsealed

_PROMOTION: Final = "id, source, rid, rev, target, lane, asked_by, asked_at, note, state, row_hash"


class LaneRows:
    """Part of one transaction."""

    def __init__(self, execute: Execute) -> None:
        self.execute = execute

    def lanes(self, where: str = "1 = ?", values: Sequence[Any] = (1,)) -> list[Lane]:
        rows = self.execute(
            f"SELECT folder, after, approvals, seq, row_hash FROM lane WHERE {where}"
            " ORDER BY folder",
            tuple(values),
        ).fetchall()
        told = [unsealed(row, f"the lane {row[0]}") for row in rows]
        return [Lane(folder=f, after=after, approvals=n) for f, after, n, _ in told]

    def lane_of(self, folder: str) -> Lane | None:
        """The lane *folder* is, or is in; the nearest of several."""
        above = list(upwards(folder))
        found = self.lanes(f"folder IN ({', '.join('?' * len(above))})", above)
        return max(found, key=lambda lane: len(lane.folder), default=None)

    def lanes_touching(self, folder: str) -> bool:
        """Whether *folder* is in a lane, or has one in it."""
        inside = self.lanes("folder LIKE ?", (f"{folder}/%",))
        return bool(inside) or self.lane_of(folder) is not None

    def put_lane(self, seq: int, lane: Lane) -> None:
        row = (lane.folder, lane.after, lane.approvals, seq)
        self.execute(
            "INSERT INTO lane (folder, after, approvals, seq, row_hash) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (folder) DO UPDATE SET after = excluded.after,"
            " approvals = excluded.approvals, seq = excluded.seq, row_hash = excluded.row_hash",
            (*row, seal(row)),
        )

    def drop_lane(self, folder: str) -> None:
        self.execute("DELETE FROM lane WHERE folder = ?", (folder,))

    def put_promotion(self, asked: Promotion, rid: str) -> None:
        row = (
            asked.promotion_id, asked.source, rid, asked.rev, asked.target, asked.lane,
            asked.asked_by, moment(asked.asked_at), asked.note, asked.state,
        )  # fmt: skip
        self.execute("DELETE FROM promotion WHERE id = ?", (asked.promotion_id,))
        self.execute(
            f"INSERT INTO promotion ({_PROMOTION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, seal(row)),
        )

    def promotions(
        self, where: str = "1 = ?", values: Sequence[Any] = (1,)
    ) -> list[tuple[Promotion, str]]:
        """Promotions, oldest first, each with the resource its source is."""
        rows = self.execute(
            f"SELECT {_PROMOTION} FROM promotion WHERE {where} ORDER BY asked_at, id",
            tuple(values),
        ).fetchall()
        return [self._promotion(row) for row in rows]

    def approve(self, promotion_id: str, approver: str, at: datetime) -> None:
        row = (promotion_id, approver, moment(at))
        self.execute(
            "INSERT INTO approval (promotion, approver, at, row_hash) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (promotion, approver) DO NOTHING",
            (*row, seal(row)),
        )

    def _promotion(self, row: Sequence[Any]) -> tuple[Promotion, str]:
        (
            promotion_id, source, rid, rev, target, lane, asked_by, asked_at, note, state,
        ) = unsealed(row, f"the promotion {row[0]}")  # fmt: skip
        approvals = self.execute(
            "SELECT promotion, approver, at, row_hash FROM approval WHERE promotion = ?"
            " ORDER BY at, approver",
            (promotion_id,),
        ).fetchall()
        approvers = [unsealed(each, f"an approval of {promotion_id}")[1] for each in approvals]
        told = Promotion(
            promotion_id=promotion_id,
            source=source,
            rev=rev,
            target=target,
            lane=lane,
            asked_by=asked_by,
            asked_at=datetime.fromisoformat(asked_at),
            note=note,
            state=state,
            approved_by=tuple(approvers),
        )
        return told, rid
