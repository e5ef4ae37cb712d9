"""Lanes: which versions are in dev, staging and prod, and who agreed."""

from __future__ import annotations

from rhdesk.desk.access import AccessVerbs
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Lane, Name, Promotion

_SHORT_S = 1.0


class LaneVerbs(AccessVerbs):
    async def lanes(self) -> list[Lane]:
        """The lanes of the store that you may read, by folder."""
        return await self.store_room.ask(
            lambda remote: remote.team("GET", "/v1/lanes", list[Lane])
        )

    async def lay_lane(self, folder: str, after: str, *, approvals: int = 0) -> Lane:
        """Make a folder a lane: its names come by promotion only.

        Args:
            after: The folder its versions come from.
            approvals: So many others than who asks must agree, 0 to 9.

        Raises:
            Refused: You are not admin of the folder.
        """
        from rhdesk.wire.team import NewLane

        if not 0 <= approvals <= 9:
            raise BadInput("a lane wants 0 to 9 approvals")
        new = NewLane(
            folder=await self._full(folder), after=await self._full(after), approvals=approvals
        )
        await self.store_room.ask(
            lambda remote: remote.team("PUT", "/v1/lanes", type(None), body=new)
        )
        return Lane(folder=new.folder, after=new.after, approvals=approvals)

    async def lift_lane(self, folder: str) -> None:
        """Let a lane be a folder like any other again."""
        full = await self._full(folder)
        await self.store_room.ask(
            lambda remote: remote.team("DELETE", "/v1/lanes", type(None), folder=full)
        )

    async def promote(self, name: str, lane: str = "", *, note: str = "") -> Promotion:
        """Have a lane hold a version of a name, as soon as enough others agree.

        Args:
            name: ``/ml/dev/train``, or a version of it; a version of a name in the lane itself
                goes back to it, which needs nobody's approval.
            lane: By default the one that comes after the name's folder.

        Raises:
            NotFound: There is no such name, version or lane.
            Refused: You may not write in the lane.
        """
        from rhdesk.wire.team import NewPromotion

        parsed = Name.parse(name)
        full = await self._full(str(parsed.without_version))
        if not lane:
            lane = _next_lane(full, await self.lanes())
        if parsed.version:
            await self.store_room.fill(parsed.without_version)
        rev = await self.store_room.call(lambda names: names.revision_of(parsed))
        new = NewPromotion(source=full, lane=await self._full(lane), rev=rev, note=note)
        told = await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/promotions", Promotion, body=new)
        )
        await self.store_room.sync(timeout_s=_SHORT_S)
        return told

    async def promotions(self, folder: str = "") -> list[Promotion]:
        """Promotions into the lanes in a folder, oldest first; without, into all you may read."""
        full = await self._full(folder) if folder else "/"
        return await self.store_room.ask(
            lambda remote: remote.team("GET", "/v1/promotions", list[Promotion], folder=full)
        )

    async def approve(self, promotion_id: str) -> Promotion:
        """Agree to a promotion that somebody else asked for.

        Args:
            promotion_id: The id, or the beginning of one.
        """
        return await self._decide(promotion_id, "approve")

    async def withdraw(self, promotion_id: str) -> Promotion:
        """Have a promotion that waits not happen."""
        return await self._decide(promotion_id, "withdraw")

    async def _decide(self, promotion_id: str, how: str) -> Promotion:
        waiting = [each for each in await self.promotions() if each.state == "waiting"]
        found = [each for each in waiting if each.promotion_id.startswith(promotion_id)]
        if len(found) != 1 or not promotion_id:
            near = [each.promotion_id for each in found or waiting][:3]
            raise NotFound(promotion_id, kind="promotion that waits", near=near)
        path = f"/v1/promotions/{found[0].promotion_id}/{how}"
        told = await self.store_room.ask(lambda remote: remote.team("POST", path, Promotion))
        await self.store_room.sync(timeout_s=_SHORT_S)
        return told


def _next_lane(name: str, lanes: list[Lane]) -> str:
    """The lane that comes after the folder *name* is in."""
    within = [lane for lane in lanes if name.startswith(f"{lane.folder}/")]
    after = [lane for lane in lanes if name.startswith(f"{lane.after}/")]
    if not after and not within:
        raise BadInput(f"no lane comes after the folder of {name}; make one: rhdesk lane set")
    if len(after) > 1:
        either = " or ".join(lane.folder for lane in after)
        raise BadInput(f"{name} could go to {either}: say which")
    return (after or within)[0].folder
