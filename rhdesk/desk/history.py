"""History: what differs between two versions, and how an earlier one becomes the newest again."""

from __future__ import annotations

import asyncio

import msgspec

from rhdesk.desk.live import LiveVerbs
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Diff, FieldChange, FileChange, Name, Record

_SHORT = 10
"""Hex digits of a version where a person reads it."""


class HistoryVerbs(LiveVerbs):
    async def diff(self, before: str, after: str = "") -> Diff:
        """What differs between two versions: fields by JSON pointer, code file by file.

        Args:
            before: ``~/train@1a2b3c``. Without a version and without *after*, the one before the
                newest.
            after: Of the same name or another; without a version its newest. By default the
                newest of *before*'s name; of one that is deleted, the last it had.

        Raises:
            NotFound: No such name or version; `near` holds versions there are.
            BadInput: There is only one version.
        """
        one = Name.parse(before)
        if after:
            old, new = await self.load(before), await self.load(after)
        elif one.version:
            old, new = await self.load(before), await self._newest(one.without_version)
        else:
            old, new = await self._newest(one, skip=1), await self._newest(one)
        files = await self._files(old, new)
        fields = [] if old.config == new.config else _fields(old, new)
        return Diff(before=_at(old), after=_at(new), fields=tuple(fields), files=files)

    async def rollback(self, name: str) -> Record:
        """Make an earlier version the newest: ``~/train@1a2b3c`` or ``~/train@{2026-10-01}``.

        It becomes a version of its own, so rolling back to the one before undoes it; a name that
        was deleted is there again. What the name means now stays as it is, and is no new version.
        A function or module that is live on a cluster is switched there, with no call that fails;
        `Record.live` says where it is, and where it could not be and why. The rollback of the
        name stands either way.

        Raises:
            NotFound: No such name or version; `near` holds versions there are.
            BadInput: *name* says no version.
        """
        parsed = Name.parse(name)
        if not parsed.version:
            raise BadInput(
                f"{parsed} says no version to go back to; one looks like {parsed}@1a2b3c, "
                f"and its history lists them"
            )
        wanted = await self.load(name)
        return await self.save(
            Record(
                name=str(parsed.without_version),
                resource_type=wanted.resource_type,
                config=wanted.config,
            ),
            note=f"rollback to {wanted.version[:_SHORT]}",
        )

    async def _newest(self, name: Name, *, skip: int = 0) -> Record:
        """The newest version, or the one *skip* before it; deletions are no versions here."""
        if not skip and await self.exists(str(name)):
            return await self.load(str(name))
        versions = [v for v in await self.history(str(name), limit=20) if not v.deleted]
        if len(versions) <= skip:
            if versions:
                raise BadInput(f"{name} has one version only: nothing to compare it with")
            raise NotFound(str(name), kind="version")
        found = versions[skip]
        return Record(
            name=str(name),
            resource_type=str(found.config.get("resource_type", "")),
            config=found.config,
            version=found.version,
            saved_at=found.saved_at,
        )

    async def _files(self, old: Record, new: Record) -> tuple[FileChange, ...]:
        from rhdesk.code.bundle import Bundle
        from rhdesk.code.bundling import record_bundle
        from rhdesk.code.compare import file_changes

        def bundle_of(record: Record) -> Bundle:
            try:
                return record_bundle(record)
            except BadInput:  # of another type, or of code that was never kept: no files
                return Bundle(kind=record.resource_type)

        if old.config.get("contents") != new.config.get("contents"):
            from rhdesk.data.contents import changes_between

            return await asyncio.to_thread(changes_between, self.contents, old.config, new.config)
        if old.config.get("code") == new.config.get("code"):
            return ()
        changes = await asyncio.to_thread(file_changes, bundle_of(old), bundle_of(new), self.shelf)
        return tuple(changes)


def _fields(old: Record, new: Record) -> list[FieldChange]:
    """The fields that differ, without those that files or the names tell already."""
    from rhdesk.code.compare import told_by_files
    from rhdesk.three_way import changes

    found = {change.pointer: change for change in changes(old.config, new.config)}
    coded = {old.resource_type, new.resource_type} & {"function", "module"}
    return [
        change
        for pointer, change in found.items()
        if pointer != "/name" and not (coded and told_by_files(pointer, found))
    ]


def _at(record: Record) -> str:
    name = Name.parse(record.name).without_version
    return str(msgspec.structs.replace(name, version=record.version[:_SHORT]))
