"""The remote store: logging in, being in step with it, and what a person has to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rhdesk.desk.rooms import Rooms
from rhdesk.errors import BadInput
from rhdesk.models import Conflict, Name, Record, Rejected, StoreState

if TYPE_CHECKING:
    from rhdesk.sync.names import ReplicaNames


class StoreVerbs(Rooms):
    async def login(self, url: str, token: str, *, folder: str = "") -> StoreState:
        """Log in to a store; nothing of another store or person is mixed with it.

        Args:
            folder: What ``@`` stands for; by default the folder the store gives its owner.

        Raises:
            BadInput: The address is none, or would carry the token in the clear.
            Refused: The store does not know the token.
            ConnectionFailed: It cannot be reached.
        """
        return await self.store_room.login(url, token, folder=folder)

    async def store_state(self) -> StoreState:
        """How this machine stands to the store; no network."""
        return await self.store_room.state()

    async def nudge(self) -> StoreState:
        """One try of a second at most to send what was just saved; none while the store is known
        to be away."""
        return await self.store_room.nudge()

    async def conflicts(self) -> list[Conflict]:
        """Writes that cannot both stand and wait for a decision, oldest first."""
        return await self.store_room.call(lambda names: names.conflicts())

    async def resolve(
        self,
        conflict_id: str,
        *,
        take: str = "",
        fields: Mapping[str, str] | None = None,
        copy_to: str = "",
    ) -> Record | None:
        """Decide a conflict; what is decided is a write like any other, and can be undone.

        Args:
            conflict_id: The id, or the end of one.
            take: ``ours`` or ``theirs``, as a whole.
            fields: The side for each field, by pointer; those not named are theirs.
            copy_to: Save ours under this name; theirs stays where it is.

        Returns:
            What the name holds now; None where that is nothing.

        Raises:
            NotFound: There is no such conflict.
            BadInput: None of the three was said, or more than one.
        """
        if [bool(take), bool(fields), bool(copy_to)].count(True) != 1:
            raise BadInput(
                "say one: take ours or theirs, a side for each field, or a name for a copy"
            )
        copy = Name.parse(copy_to) if copy_to else None
        if copy is not None and copy.is_local:
            return await self._copy_here(conflict_id, copy)
        return await self.store_room.call(
            lambda names: names.resolve(conflict_id, take=take, fields=fields, copy_to=copy)
        )

    async def reopen(self, conflict_id: str) -> Conflict:
        """Ask again about a conflict that was decided; what was written stays until then.

        Raises:
            NotFound: There is no such conflict.
        """
        return await self.store_room.call(lambda names: names.reopen(conflict_id))

    async def rejected(self) -> list[Rejected]:
        """Writes the store refused, oldest first."""
        return await self.store_room.call(lambda names: names.rejected())

    async def drop_rejected(self, op_id: str) -> None:
        """Forget a refused write.

        Raises:
            NotFound: There is none of that id, or end of one.
        """
        await self.store_room.call(lambda names: names.drop_rejected(op_id))

    async def share(self, name: str, users: Sequence[str], *, level: str = "read") -> list[str]:
        """Let *users* do so much in a folder and below it; needs the store at hand.

        Args:
            name: ``@/models``, or ``@`` for all of one's own.
            level: ``read``, ``call``, ``write`` or ``admin``; ``none`` takes it back.

        Returns:
            Who was granted what there, as ``bob: read``.

        Raises:
            BadInput: It is one resource: the store heeds grants on folders.
            Refused: You are not admin of it, or your token is not for that.
            NotFound: The store has no such user.
        """
        full = await self.store_room.call(lambda names: names.folder_named(name))
        grants = await self.store_room.grant(full, list(users), level)
        return [f"{grant.principal}: {grant.level}" for grant in grants]

    async def _copy_here(self, conflict_id: str, name: Name) -> Record | None:
        def ours(names: ReplicaNames) -> Record:
            return names.ours(conflict_id)

        record = await self.store_room.call(ours)
        kept = Record(name=str(name), resource_type=record.resource_type, config=record.config)
        await self.names_room.call(lambda names: names.save(kept, overwrite=False))
        return await self.store_room.call(lambda names: names.resolve(conflict_id, take="theirs"))
