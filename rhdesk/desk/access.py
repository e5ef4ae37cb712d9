"""Who may what in the store, and why: groups, grants, and the tokens that show who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from rhdesk.desk.names import NameVerbs
from rhdesk.errors import BadInput, ConnectionFailed, NotFound
from rhdesk.models import Access, Granted, Group, Name, Policy, SecretText, TokenTold

if TYPE_CHECKING:
    from rhdesk.sync.names import ReplicaNames
    from rhdesk.sync.remote import Remote

_SHORT_S = 1.0
"""What somebody waits for a store that may be away, when what it said last would do."""


class AccessVerbs(NameVerbs):
    async def access_why(
        self, principal: str, action: str, name: str, *, offline: bool = False
    ) -> Access:
        """Whether somebody may do something with a name of the store, and the chain that says so.

        Args:
            principal: A person or a group.
            action: ``read``, ``call``, ``write``, ``admin``, or a verb: ``save``, ``share`` ...
            name: A resource or a folder, ``/ml/train`` or ``@/models``.
            offline: Answer from what the store told last. Otherwise it is asked, for a second.

        Raises:
            BadInput: Nobody knows such an action.
            NotFound: No such person or group is known to you.
            ConnectionFailed: The store is away, and never told who may what.
        """
        from rhdesk.access.levels import folder_of
        from rhdesk.access.policy import level_for, why

        level_for(action)
        full, is_resource = await self.store_room.call(partial(_placed, name))
        policy = await self.policy(offline=offline)
        account, _ = await self.store_room.beside()
        known = {*policy.users, account.user, *(group.name for group in policy.groups)}
        if principal not in known:
            near = get_close_matches(principal, known)
            raise NotFound(principal, kind="user or group of the store", near=near)
        folder = folder_of(full) if is_resource else full
        return why(policy, principal, action, full, folder)

    async def rights(self, principal: str = "", *, offline: bool = False) -> list[Access]:
        """What somebody may do with each name of the store that you know, by name, and why.

        Args:
            principal: A person or group; by default you.
        """
        from rhdesk.access.levels import folder_of
        from rhdesk.access.policy import why

        account, _ = await self.store_room.beside()
        policy = await self.policy(offline=offline)
        records = await self.store_room.call(lambda names: names.names(folder="/"))
        who = principal or account.user
        return [why(policy, who, "read", r.name, folder_of(r.name)) for r in records]

    async def policy(self, *, offline: bool = False) -> Policy:
        """The groups and grants that you may know of; `as_of` says when the store told them.

        Raises:
            ConnectionFailed: The store is away, and never told.
        """
        from rhdesk.sync.policy_file import keep_policy, read_policy

        _, folder = await self.store_room.beside()
        kept = await asyncio.to_thread(read_policy, folder)
        if offline and kept is not None:
            return kept
        try:
            told = await self.store_room.ask(
                lambda remote: remote.team("GET", "/v1/policy", Policy),
                timeout_s=_SHORT_S if kept is not None else None,
            )
        except ConnectionFailed:
            if kept is None:
                raise
            return kept
        await asyncio.to_thread(keep_policy, folder, told)
        return told

    async def grants(self, folder: str = "") -> list[Granted]:
        """Who was granted what in *folder* and above and below it, by folder; without, all that
        you may know."""
        from rhdesk.access.levels import is_below

        policy = await self.policy()
        if not folder:
            return list(policy.grants)
        full = await self.store_room.call(lambda names: names.folder_named(folder))
        return [g for g in policy.grants if is_below(g.folder, full) or is_below(full, g.folder)]

    async def grant_access(
        self,
        folder: str,
        principals: Sequence[str],
        *,
        level: str = "read",
        days: float = 0.0,
    ) -> list[Granted]:
        """Let people and groups do so much in a folder and below; needs the store at hand.

        Args:
            level: ``read``, ``call`` (v0.0.12's ``proxy``), ``write`` or ``admin``; ``none`` takes
                it back.
            days: It ends by itself after so many; 0: not before somebody ends it.

        Returns:
            What was granted in exactly that folder.

        Raises:
            Refused: You are not admin of it, or your token is not for that.
            NotFound: The store has no such person or group.
        """
        from rhdesk.access.policy import level_named
        from rhdesk.wire.team import NewGrant

        if days < 0:
            raise BadInput("a grant ends after days that are to come; 0: not by itself")
        word = level_named(level).name.lower()
        full = await self.store_room.call(lambda names: names.folder_named(folder))
        until = datetime.now(UTC) + timedelta(days=days) if days else None

        async def work(remote: Remote) -> None:
            for principal in principals:
                new = NewGrant(principal=principal, folder=full, level=word, until=until)
                await remote.team("POST", "/v1/grants", type(None), body=new)

        await self.store_room.ask(work)
        return [each for each in await self.grants(full) if each.folder == full]

    # ---- groups

    async def groups(self) -> list[Group]:
        """The groups that you may know of, by name."""
        return list((await self.policy()).groups)

    async def make_group(
        self, name: str, members: Sequence[str] = (), *, level: str = "write"
    ) -> Group:
        """A group with a folder of its own, ``/name``, of which you are admin.

        Args:
            members: People and groups to be in it beside you.
            level: What its members may do in its folder.

        Raises:
            AlreadyExists: A user or a group has the name.
        """
        from rhdesk.wire.team import NewGroup

        new = NewGroup(name=name, level=level)
        await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/groups", type(None), body=new)
        )
        return await self.change_group(name, put=members) if members else await self._group(name)

    async def change_group(
        self, name: str, *, put: Sequence[str] = (), take: Sequence[str] = ()
    ) -> Group:
        """Put people and groups into a group, and take others out.

        Raises:
            NotFound: There is no such group, or person.
            BadInput: The group would be in itself.
            Refused: You are not admin of its folder.
        """
        from rhdesk.wire.team import Members

        told = Members(group=name, put=list(put), take=list(take))
        await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/groups/members", type(None), body=told)
        )
        return await self._group(name)

    async def move_group(self, name: str, into: str = "") -> Group:
        """Put a group into another one, and out of those it was in; with ``""``, into none."""
        from rhdesk.wire.team import MoveGroup

        told = MoveGroup(group=name, into=into)
        await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/groups/move", type(None), body=told)
        )
        return await self._group(name)

    async def drop_group(self, name: str) -> None:
        """End a group, and all it was granted; what its folder holds stays."""
        await self.store_room.ask(
            lambda remote: remote.team("DELETE", "/v1/groups", type(None), group=name)
        )

    async def move_folder(self, old: str, new: str) -> int:
        """Give everything in a folder of the store a name in another one, at once.

        What was granted in it goes along. Returns how many names moved.

        Raises:
            BadInput: It would be in itself.
            AlreadyExists: A name is taken; nothing was moved.
        """
        from rhdesk.wire.team import Moved, MoveFolder

        told = MoveFolder(old=await self._full(old), new=await self._full(new))
        moved = await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/folders/move", Moved, body=told)
        )
        await self.store_room.sync(timeout_s=_SHORT_S)
        return moved.names

    # ---- tokens

    async def tokens(self) -> list[TokenTold]:
        """Your tokens, newest first; not what they are."""
        return await self.store_room.ask(
            lambda remote: remote.team("GET", "/v1/tokens", list[TokenTold])
        )

    async def narrow_token(
        self, *, scope: str = "read", folder: str = "", days: float = 0.0
    ) -> SecretText:
        """A token for less than your own, to hand on; nobody can read it again.

        Args:
            scope: What it is for at most: ``read``, ``write`` or ``admin``.
            folder: Where it is good, in and below.
            days: How long; 0: as long as your own.

        Raises:
            Refused: It would be for more than yours.
        """
        from rhdesk.wire.team import NewToken, TokenMade

        full = await self._full(folder) if folder else ""
        new = NewToken(scope=scope, folder=full, days=days or None)
        made = await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/tokens", TokenMade, body=new)
        )
        return SecretText(made.token)

    async def rotate_token(self, *, overlap_s: float = 3600.0) -> None:
        """Have this desk speak with a new token; its old one ends after *overlap_s* seconds."""
        from rhdesk.wire.team import Rotation, TokenMade

        told = Rotation(overlap_s=overlap_s)
        made = await self.store_room.ask(
            lambda remote: remote.team("POST", "/v1/token/rotate", TokenMade, body=told)
        )
        await self.store_room.use_token(made.token)

    async def end_token(self, token_id: str) -> None:
        """End a token of yours at once, and all that were narrowed from it."""
        if not token_id.isalnum():
            raise BadInput(f"{token_id!r} is no id of a token; `rhdesk token ls` lists them")
        await self.store_room.ask(
            lambda remote: remote.team("DELETE", f"/v1/tokens/{token_id}", type(None))
        )

    # ---- underneath

    async def _group(self, name: str) -> Group:
        found = {group.name: group for group in await self.groups()}
        if name not in found:
            raise NotFound(name, kind="group", near=get_close_matches(name, found))
        return found[name]

    async def _full(self, name: str) -> str:
        parsed = Name.parse(name.rstrip("/")) if name not in ("@", "@/") else None
        account, _ = await self.store_room.beside()
        if parsed is None:
            return account.folder
        return await self.store_room.call(lambda names: names.full(parsed))


def _placed(name: str, names: ReplicaNames) -> tuple[str, bool]:
    """The full name, and whether it is a resource's and no folder's."""
    if name.rstrip("/") in ("", "@"):
        return (names.folder if name.startswith("@") else "/"), False
    parsed = Name.parse(name.rstrip("/")).without_version
    return names.full(parsed), names.exists(parsed)
