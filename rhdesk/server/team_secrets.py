"""The rules of the secrets a team keeps: who may list, use and replace them.

Their values are sealed by who puts them; the store has no key. It still tells nobody an envelope
who may not call in its folder, and none before the audit says that it was told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches

import msgspec

from rhdesk.access.levels import Level, folder_of, is_below, level_in
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.server.sql import SqlDatabase, SqlTables
from rhdesk.wire.team import NewSecret, RenamedSecret, SealedSecret

LARGEST = 4 * 1024 * 1024
"""Bytes of one envelope."""


class TeamSecrets:
    """
    Args:
        within: The folder the caller's token is good in.
    """

    def __init__(self, database: SqlDatabase, *, within: str = "/") -> None:
        self.database = database
        self._within = within

    def listed(self, by: str, folder: str) -> list[SealedSecret]:
        """The newest version of each secret in *folder* and below that *by* may read, by name."""
        with self.database.reading() as t:
            t.within = self._within
            grants = t.grants(by)
            newest = {
                each.name: each
                for each in t.secrets()
                if is_below(folder_of(each.name), folder)
                and level_in(folder_of(each.name), grants) >= Level.READ
            }
        return [msgspec.structs.replace(each, envelope=None) for each in newest.values()]

    def versions(self, by: str, name: str) -> list[SealedSecret]:
        """Every version with its envelope, oldest first; the audit says so first.

        Raises:
            NotFound: There is none of that name.
            Refused: *by* may not call in its folder.
        """
        with self.database.writing() as t:
            self._see(t, by, name, Level.CALL)
            found = self._found(t, name)
            t.note(0, by, "secret.read", name)
        return found

    def put(self, by: str, asked: NewSecret) -> SealedSecret:
        """Keep a version.

        Raises:
            AlreadyExists: Another version is there than was expected.
        """
        _see_that_it_fits(asked.envelope)
        with self.database.writing() as t:
            self._see(t, by, asked.name, Level.WRITE)
            before = t.secrets("name = ?", (asked.name,))
            last = before[-1].version if before else 0
            if asked.expect not in (-1, last):
                raise AlreadyExists(
                    f"{asked.name} is at version {last} by now, not {asked.expect}; "
                    "look at it, then put again"
                )
            made = SealedSecret(
                name=asked.name,
                version=last + 1,
                saved_at=datetime.now(UTC),
                author=by,
                provider=asked.provider,
                fields=tuple(asked.fields),
                envelope=asked.envelope,
            )
            t.put_secret(made)
            t.note(0, by, "secret.put", asked.name, f"version {made.version}")
        return msgspec.structs.replace(made, envelope=None)

    def rename(self, by: str, asked: RenamedSecret) -> SealedSecret:
        """Give a secret another name, with every version sealed for it anew."""
        for envelope in asked.envelopes:
            _see_that_it_fits(envelope)
        with self.database.writing() as t:
            for name in (asked.old, asked.new):
                self._see(t, by, name, Level.WRITE)
            found = self._found(t, asked.old)
            if t.secrets("name = ?", (asked.new,)):
                raise AlreadyExists(f"there is a secret {asked.new} already")
            if len(found) != len(asked.envelopes):
                raise AlreadyExists(
                    f"{asked.old} has {len(found)} versions by now, and {len(asked.envelopes)} "
                    "were sealed; try again"
                )
            for each, envelope in zip(found, asked.envelopes, strict=True):
                t.put_secret(msgspec.structs.replace(each, name=asked.new, envelope=envelope))
            t.drop_secret(asked.old)
            t.note(0, by, "secret.rename", asked.old, f"to {asked.new}")
        return msgspec.structs.replace(found[-1], name=asked.new, envelope=None)

    def drop(self, by: str, name: str) -> None:
        """Remove a secret with all its versions."""
        with self.database.writing() as t:
            self._see(t, by, name, Level.WRITE)
            self._found(t, name)
            t.drop_secret(name)
            t.note(0, by, "secret.rm", name)

    def _see(self, t: SqlTables, by: str, name: str, needs: Level) -> None:
        folder = folder_of(name)
        if folder == "/":
            raise BadInput(f"{name} is no name of a secret here; one looks like /ml/openai")
        t.within = self._within
        if level_in(folder, t.grants(by)) < needs:
            raise Refused(f"{by} may not {needs.name.lower()} in {folder}")

    def _found(self, t: SqlTables, name: str) -> list[SealedSecret]:
        found = t.secrets("name = ?", (name,))
        if not found:
            beside = {each.name for each in t.secrets("folder = ?", (folder_of(name),))}
            raise NotFound(name, kind="secret", near=get_close_matches(name, beside))
        return found


def _see_that_it_fits(envelope: dict[str, object]) -> None:
    if len(msgspec.json.encode(envelope)) > LARGEST:
        raise BadInput("that is more than 4 MiB: data, not a secret")
