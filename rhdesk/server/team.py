"""What answers the routes about people: each verb takes what was asked, and gives the answer.

Blocking, and free of HTTP: `rhdesk.server.app` reads the request and writes the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from rhdesk.access.levels import Level, level_in
from rhdesk.access.policy import level_named
from rhdesk.errors import BadInput, Refused
from rhdesk.models import Access, Audited, AuditHead, Lane, Name, Policy, Promotion, TokenTold
from rhdesk.server.bounds import read_folder
from rhdesk.server.groups import Groups
from rhdesk.server.lanes import Lanes
from rhdesk.server.moving import move_folder
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.team_routes import MOST_AUDITED
from rhdesk.server.team_secrets import TeamSecrets
from rhdesk.server.tokens import Accounts, Caller
from rhdesk.wire.team import (
    Members,
    Moved,
    MoveFolder,
    MoveGroup,
    NewGrant,
    NewGroup,
    NewLane,
    NewPromotion,
    NewSecret,
    NewToken,
    RenamedSecret,
    Rotation,
    SealedSecret,
    TokenMade,
)


class Asked(NamedTuple):
    """A request, read."""

    caller: Caller
    given: Mapping[str, str]
    """Of the path and the query."""
    body: Any = None


class Team:
    def __init__(self, database: SqlDatabase) -> None:
        self.database = database
        self.groups = Groups(database)
        self.accounts = Accounts(database)

    # ---- who may

    def policy(self, asked: Asked) -> Policy:
        return self._groups(asked).policy(asked.caller.user)

    def why(self, asked: Asked) -> Access:
        name = str(Name.parse(asked.given["name"]).without_version)
        return self._groups(asked).why(
            asked.caller.user, asked.given["principal"], asked.given["action"], read_folder(name)
        )

    def share(self, asked: Asked) -> None:
        grant: NewGrant = asked.body
        self._groups(asked).grant(
            asked.caller.user,
            grant.principal,
            read_folder(grant.folder),
            level_named(grant.level),
            grant.until,
        )

    # ---- groups

    def make_group(self, asked: Asked) -> None:
        new: NewGroup = asked.body
        self._everywhere(asked)
        self.groups.make(asked.caller.user, new.name, level=new.level)

    def members(self, asked: Asked) -> None:
        told: Members = asked.body
        if not told.put and not told.take:
            raise BadInput("say who is put into the group, or taken out of it")
        if told.put:
            self._groups(asked).put(asked.caller.user, told.group, told.put)
        if told.take:
            self._groups(asked).take(asked.caller.user, told.group, told.take)

    def move_group(self, asked: Asked) -> None:
        told: MoveGroup = asked.body
        self._groups(asked).move(asked.caller.user, told.group, told.into)

    def drop_group(self, asked: Asked) -> None:
        self._groups(asked).drop(asked.caller.user, asked.given["group"])

    def move_folder(self, asked: Asked) -> Moved:
        told: MoveFolder = asked.body
        old, new = read_folder(told.old), read_folder(told.new)
        moved = move_folder(self.database, asked.caller.user, old, new, within=asked.caller.folder)
        return Moved(names=moved)

    # ---- tokens

    def tokens(self, asked: Asked) -> list[TokenTold]:
        return [
            TokenTold(
                id=each.id,
                scope=each.scope,
                folder=each.folder or "/",
                created_at=each.created_at,
                expires_at=each.expires_at,
                used_at=each.used_at,
                revoked_at=each.revoked_at,
                parent=each.parent or "",
                is_yours=each.id == asked.caller.token_id,
            )
            for each in self.accounts.tokens(asked.caller.user)
        ]

    def narrow(self, asked: Asked) -> TokenMade:
        new: NewToken = asked.body
        lasts = timedelta(days=new.days) if new.days is not None else None
        folder = read_folder(new.folder) if new.folder else ""
        made = self.accounts.narrow(asked.caller, scope=new.scope, folder=folder, lasts=lasts)
        return TokenMade(token=made)

    def rotate(self, asked: Asked) -> TokenMade:
        told: Rotation = asked.body
        overlap = timedelta(seconds=told.overlap_s)
        return TokenMade(token=self.accounts.rotate(asked.caller, overlap=overlap))

    def end_token(self, asked: Asked) -> None:
        token_id = _id(asked)
        # A token for less than all may end itself and what was narrowed from it, and no other.
        if asked.caller.scope != "admin" or asked.caller.folder != "/":
            mine = {row.id: row.parent for row in self.accounts.tokens(asked.caller.user)}
            if asked.caller.token_id not in (token_id, mine.get(token_id)):
                raise Refused("this token ends itself, and what was narrowed from it, only")
        self.accounts.end(asked.caller, token_id)

    # ---- lanes

    def lanes(self, asked: Asked) -> list[Lane]:
        return self._lanes(asked).lanes(asked.caller.user)

    def lay_lane(self, asked: Asked) -> None:
        told: NewLane = asked.body
        folder, after = read_folder(told.folder), read_folder(told.after)
        lane = Lane(folder=folder, after=after, approvals=told.approvals)
        self._lanes(asked).lay(asked.caller.user, lane)

    def lift_lane(self, asked: Asked) -> None:
        self._lanes(asked).lift(asked.caller.user, read_folder(asked.given["folder"]))

    def promotions(self, asked: Asked) -> list[Promotion]:
        folder = read_folder(asked.given.get("folder") or "/")
        return self._lanes(asked).promotions(asked.caller.user, folder)

    def promote(self, asked: Asked) -> Promotion:
        told: NewPromotion = asked.body
        source, lane = read_folder(told.source), read_folder(told.lane)
        return self._lanes(asked).promote(
            asked.caller.user, source, lane, rev=told.rev, note=told.note
        )

    def approve(self, asked: Asked) -> Promotion:
        return self._lanes(asked).approve(asked.caller.user, _id(asked))

    def withdraw(self, asked: Asked) -> Promotion:
        return self._lanes(asked).withdraw(asked.caller.user, _id(asked))

    # ---- secrets

    def secrets(self, asked: Asked) -> list[SealedSecret]:
        return self._secrets(asked).listed(asked.caller.user, read_folder(asked.given["folder"]))

    def secret_versions(self, asked: Asked) -> list[SealedSecret]:
        return self._secrets(asked).versions(asked.caller.user, read_folder(asked.given["name"]))

    def put_secret(self, asked: Asked) -> SealedSecret:
        new: NewSecret = asked.body
        read_folder(new.name)
        return self._secrets(asked).put(asked.caller.user, new)

    def rename_secret(self, asked: Asked) -> SealedSecret:
        told: RenamedSecret = asked.body
        read_folder(told.old)
        read_folder(told.new)
        return self._secrets(asked).rename(asked.caller.user, told)

    def drop_secret(self, asked: Asked) -> None:
        self._secrets(asked).drop(asked.caller.user, read_folder(asked.given["name"]))

    # ---- the audit

    def audit(self, asked: Asked) -> list[Audited]:
        words = tuple(asked.given.get("matching", "").split())
        limit = _number(asked, "limit", 100, least=1, most=MOST_AUDITED)
        self._admin_of_all(asked)
        with self.database.reading() as t:
            return t.newest_audited(limit, words)

    def audit_rows(self, asked: Asked) -> list[Audited]:
        after = _number(asked, "after", 0, least=0, most=2**62)
        self._admin_of_all(asked)
        with self.database.reading() as t:
            return list(t.audit_rows(after, MOST_AUDITED))

    def audit_head(self, asked: Asked) -> AuditHead:
        with self.database.reading() as t:
            return t.audit_head()

    # ---- underneath

    def _groups(self, asked: Asked) -> Groups:
        return Groups(self.database, within=asked.caller.folder)

    def _lanes(self, asked: Asked) -> Lanes:
        return Lanes(self.database, within=asked.caller.folder)

    def _secrets(self, asked: Asked) -> TeamSecrets:
        return TeamSecrets(self.database, within=asked.caller.folder)

    def _everywhere(self, asked: Asked) -> None:
        if asked.caller.folder != "/":
            raise Refused(f"this token is good in {asked.caller.folder}; a group is beyond that")

    def _admin_of_all(self, asked: Asked) -> None:
        with self.database.reading() as t:
            t.within = asked.caller.folder
            if level_in("/", t.grants(asked.caller.user)) < Level.ADMIN:
                raise Refused(
                    f"{asked.caller.user} is not admin of /; who keeps the server can say so: "
                    f"rhdesk server grant {asked.caller.user} / admin"
                )


def _id(asked: Asked) -> str:
    text = asked.given["id"]
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise BadInput("an id is 16 hexadecimal digits, as it was told")
    return text


def _number(asked: Asked, name: str, default: int, *, least: int, most: int) -> int:
    text = asked.given.get(name, str(default))
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not least <= int(text) <= most:
        raise BadInput(f"{name} is {least} to {most}")
    return int(text)
