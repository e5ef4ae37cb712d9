"""Names of a remote store, ``@/x`` and ``/owner/group/x``, as this machine knows them.

What is told is what the store last said, with what was saved here laid over it. Nothing here
touches a network: a save is done when it is on the disk, and sent when somebody next syncs.
"""

from __future__ import annotations

import difflib
import gc
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from rhdesk import three_way
from rhdesk.errors import AlreadyExists, BadInput, NotFound
from rhdesk.foreign import clean
from rhdesk.models import CODE, Conflict, Name, Record, Rejected, Version, unit_of
from rhdesk.sync.engine import Engine
from rhdesk.sync.replica import Rows, SqliteReplica
from rhdesk.sync.state import Base, Body, Op, Parked, Transaction
from rhdesk.three_way import changes
from rhdesk.wire.canonical import spell, version_of

_NEAR: Final = 3
_FEW: Final = 5_000
"""So many names are compared letter by letter within the time a person notices."""
_MOST_FIELDS: Final = 4


def new_id() -> str:
    """An id for a write or a resource; 122 random bits, so that no two desks make the same."""
    return str(uuid.uuid4())


class Seen(NamedTuple):
    """A resource as a person sees it here."""

    rid: str
    body: Body
    base: Base | None
    last: Op | None
    """The newest write of this machine that the feed has not shown yet."""

    @property
    def saved_at(self) -> datetime | None:
        if self.last is not None:
            return self.last.saved_at
        return self.base.stored.at if self.base is not None else None


class ReplicaNames:
    """Satisfies `rhdesk.ports.NameStore`. Blocking; one thread owns it.

    Args:
        folder: What ``@`` stands for, ``/ada``.
    """

    def __init__(
        self,
        replica: SqliteReplica,
        *,
        folder: str,
        user: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.replica = replica
        self.folder = folder
        self._user = user
        self._now = now

    def save(
        self,
        record: Record,
        *,
        overwrite: bool = True,
        author: str = "",
        run_id: str = "",
        note: str = "",
    ) -> Record:
        """Keep *record* under its name, as a new version unless nothing changed.

        It is on the disk when this returns, and waits there for the store.

        Args:
            author: Does not count: the store knows who is logged in.

        Raises:
            AlreadyExists: The name is taken, and *overwrite* is False.
            StoreUnwritable: It is not saved.
        """
        name = self._writable(Name.parse(record.name))
        body = _config(name, record.resource_type, record.config)

        def change(rows: Rows) -> Record:
            seen = seen_named(rows, name)
            if seen is not None and not overwrite:
                raise AlreadyExists(f"{name} exists already; say overwrite to save a new version")
            if seen is None or spell(seen.body or {}) != spell(body):
                self._queue(rows, seen, body, run_id=run_id, note=note)
                seen = seen_named(rows, name)
            return self._record(rows, name, seen)

        return self.replica.write(change)

    def load(self, name: Name) -> Record:
        """The record under *name*, now or at the version it says.

        Raises:
            NotFound: There is no such name or version; `near` tells which come close.
        """
        full = self.full(name)
        if name.version:
            return self.replica.read(lambda rows: self._at_version(rows, full, name))

        def ask(rows: Rows) -> Record:
            seen = seen_named(rows, full)
            if seen is None:
                raise self._not_found(rows, full)
            return self._record(rows, full, seen)

        return self.replica.read(ask)

    def exists(self, name: Name) -> bool:
        try:
            self.load(name)
        except NotFound:
            return False
        return True

    def names(self, *, folder: str = "", resource_type: str = "") -> list[Record]:
        """What is in *folder* and below it, by name; ``/`` is all there is, ``@`` one's own."""
        top = self._folder(folder)

        def ask(rows: Rows) -> list[Record]:
            trouble = rows.troubled()
            return [
                _as_record(name, seen, trouble.get(name, ""))
                for name, seen in sorted(all_seen(rows, top).items())
                if resource_type in {"", _type(seen.body)}
            ]

        # Many objects that all stay: the collector would look through them time and again.
        was_on = gc.isenabled()
        gc.disable()
        try:
            return self.replica.read(ask)
        finally:
            if was_on:
                gc.enable()

    def rename(self, old: Name, new: Name) -> Record:
        """Give a resource another name in the store; its versions go with it.

        Raises:
            AlreadyExists: *new* is taken.
            NotFound: There is no such name.
        """
        before, after = self._writable(old), self._writable(new)

        def change(rows: Rows) -> Record:
            seen = seen_named(rows, before)
            if seen is None:
                raise self._not_found(rows, before)
            if seen_named(rows, after) is not None:
                raise AlreadyExists(f"cannot rename {before}: {after} exists already")
            body = {**(seen.body or {}), "name": after}
            self._queue(rows, seen, body)
            return self._record(rows, after, seen_named(rows, after))

        return self.replica.write(change)

    def delete(self, name: Name) -> None:
        """Delete *name*; its versions stay in the history.

        Raises:
            NotFound: There is no such name.
        """
        full = self._writable(name)

        def change(rows: Rows) -> None:
            seen = seen_named(rows, full)
            if seen is None:
                raise self._not_found(rows, full)
            self._queue(rows, seen, None)

        self.replica.write(change)

    def history(self, name: Name, *, limit: int = 100) -> list[Version]:
        """The versions of *name* that this machine has seen, newest first, those that wait
        included; of a name used again, also those of what had it before.

        Raises:
            NotFound: The name never was.
        """
        full = self.full(name)

        def ask(rows: Rows) -> list[Version]:
            versions = self._versions(rows, full)
            if not versions:
                raise self._not_found(rows, full)
            return versions[:limit] if limit else versions

        return self.replica.read(ask)

    # ---- which names are whose

    def full(self, name: Name) -> str:
        """``/ada/x`` for ``@/x``, without a version."""
        if name.root == "@":
            return f"{self.folder}/{'/'.join(name.parts)}"
        if name.root != "/":
            raise BadInput(f"{name} is not a name of a store; those look like @/x or /owner/x")
        return str(name.without_version)

    def _writable(self, name: Name) -> str:
        if name.version:
            raise BadInput(
                f"{name} is a version, and versions cannot change; say {name.without_version}"
            )
        full = self.full(name)
        if len(Name.parse(full).parts) < 2:
            raise BadInput(f"{full} is a folder's name; a resource in it looks like {full}/train")
        return full

    def folder_named(self, text: str) -> str:
        """A folder's full name.

        Raises:
            BadInput: It is a resource's.
        """
        full = self._folder(text)
        if self.replica.read(lambda rows: seen_named(rows, full)) is not None:
            above = full.rpartition("/")[0]
            raise BadInput(
                f"{full} is one resource, and a store shares folders with all below them: "
                f"share {above}, or rename it into a folder of its own: {above}/shared/..."
            )
        return full

    def _folder(self, folder: str) -> str:
        text = folder.rstrip("/")
        if folder in {"", "/"}:
            return "/"
        return self.folder if text == "@" else self.full(Name.parse(text))

    # ---- versions

    def lacking_versions(self, name: Name) -> str:
        """The resource under *name*, or that was, if the store has versions of it that were never
        seen here; "" if not."""

        def ask(rows: Rows) -> str:
            full = self.full(name)
            seen = seen_named(rows, full)
            rid = seen.rid if seen is not None else next(iter(rows.rids_named(full)), "")
            base = rows.base(rid)
            if base is None:
                return ""
            known = {v.stored.rev for v in rows.versions_of(rid) if v.epoch == base.epoch}
            return rid if len(known) < base.stored.rev else ""

        return self.replica.read(ask)

    def revision_of(self, name: Name) -> int:
        """The store's number of a version; 0 for the newest.

        Raises:
            NotFound: There is no such version, or the store does not have it yet.
        """
        if not name.version:
            return 0
        full = self.full(name)

        def ask(rows: Rows) -> int:
            record = self._at_version(rows, full, name)
            for rid in dict.fromkeys([*_newest(seen_named(rows, full)), *rows.rids_named(full)]):
                for each in rows.versions_of(rid):
                    if _version(each.stored.body) == record.version:
                        return each.stored.rev
            raise NotFound(str(name), kind="version that the store has")

        return self.replica.read(ask)

    def _versions(self, rows: Rows, full: str) -> list[Version]:
        seen = seen_named(rows, full)
        now = [seen.rid] if seen is not None else []
        before = [rid for rid in rows.rids_named(full) if rid not in now]
        return [each for rid in (*now, *before) for each in self._versions_of(rows, rid)]

    def _versions_of(self, rows: Rows, rid: str) -> list[Version]:
        kept = rows.versions_of(rid)
        shown = {each.stored.op_id for each in kept}
        found: list[Version] = []
        for each, before in zip(kept, [*kept[1:], None], strict=False):
            stored = each.stored
            found.append(
                Version(
                    name=stored.name,
                    version=_version(stored.body),
                    saved_at=stored.at,
                    author=clean(stored.author),
                    summary=_told(
                        before.stored.body if before else None, stored.body, stored.note
                    ),
                    deleted=stored.body is None,
                    run_id=clean(stored.run_id),
                    note=clean(stored.note),
                    config=stored.body or {},
                )
            )
        waiting = [
            Version(
                name=op.name,
                version=_version(op.body),
                saved_at=op.saved_at or self._now(),
                author=self._user,
                summary=_told(op.base, op.body, op.note),
                deleted=op.body is None,
                run_id=op.run_id,
                note=op.note,
                sync="" if op.accepted is not None else "queued",
                config=op.body or {},
            )
            for op in rows.ops_of(rid)
            if op.op_id not in shown
        ]
        return [*reversed(waiting), *found]

    def _at_version(self, rows: Rows, full: str, name: Name) -> Record:
        versions = self._versions(rows, full)
        if not versions:
            raise self._not_found(rows, full)
        if (moment := name.as_of) is not None:
            found = next((v for v in versions if v.saved_at <= moment), None)
        else:
            matching = [v for v in versions if v.version.startswith(name.version)]
            if len({v.version for v in matching}) > 1:
                longer = " or ".join(sorted({f"@{v.version[:12]}" for v in matching}))
                raise BadInput(f"{full}@{name.version} fits several versions: say {longer}")
            found = matching[0] if matching else None
        if found is None or found.deleted:
            near = dict.fromkeys(f"{full}@{v.version[:8]}" for v in versions if not v.deleted)
            raise NotFound(f"{full}@{name.version}", kind="version", near=tuple(near)[:_NEAR])
        return Record(
            name=full,
            resource_type=_type(found.config),
            config=found.config,
            version=found.version,
            saved_at=found.saved_at,
            sync=found.sync or "current",
        )

    # ---- what a person decides

    def conflicts(self) -> list[Conflict]:
        """What waits for a decision, oldest first."""
        return [_as_conflict(each) for each in self.replica.read(lambda rows: rows.parked())]

    def ours(self, conflict_id: str) -> Record:
        """This machine's side of a conflict.

        Raises:
            NotFound: There is no such conflict.
            BadInput: This side deleted it.
        """
        parked = self.replica.read(lambda rows: self._parked(rows, conflict_id))
        if parked.ours is None:
            raise BadInput(f"you deleted {parked.name}: there is nothing to copy")
        return Record(name=parked.name, resource_type=_type(parked.ours), config=parked.ours)

    def resolve(
        self,
        conflict_id: str,
        *,
        take: str = "",
        fields: Mapping[str, str] | None = None,
        copy_to: Name | None = None,
    ) -> Record | None:
        """Decide a conflict, as `rhdesk.desk.store.StoreVerbs.resolve` says."""
        copy = self._writable(copy_to) if copy_to is not None else ""

        def change(rows: Rows) -> Record | None:
            parked = self._parked(rows, conflict_id)
            now = seen_of(rows, parked.rid)
            theirs = now.body if now is not None else None
            if take not in {"", "ours", "theirs"}:
                raise BadInput(f"{take!r} is no side; take ours or theirs")
            body = parked.ours if take == "ours" else theirs
            if fields:
                body = _chosen(parked, theirs, fields)
            if copy:
                if parked.ours is None:
                    raise BadInput(f"you deleted {parked.name}: there is nothing to copy")
                if seen_named(rows, copy) is not None:
                    raise AlreadyExists(f"cannot copy to {copy}: it exists already")
                self._queue(rows, None, {**parked.ours, "name": copy})
            engine = Engine(rows, self._now, new_id)
            rows.apply(engine.resolve(parked.conflict_id, body))
            name = _name(body) or parked.name
            seen = seen_named(rows, name)
            return self._record(rows, name, seen) if seen is not None else None

        return self.replica.write(change)

    def reopen(self, conflict_id: str) -> Conflict:
        """Ask again about a conflict that was decided."""

        def change(rows: Rows) -> Parked:
            parked = self._parked(rows, conflict_id, also_resolved=True)
            rows.apply(Engine(rows, self._now, new_id).reopen(parked.conflict_id))
            return parked

        return _as_conflict(self.replica.write(change))

    def rejected(self) -> list[Rejected]:
        """What the store refused, oldest first."""
        return [
            Rejected(
                op_id=each.op_id,
                name=each.name,
                reason=clean(each.reason),
                fields=each.body,
                at=each.at,
            )
            for each in self.replica.read(lambda rows: rows.refused())
        ]

    def drop_rejected(self, op_id: str) -> None:
        """Forget a refused write.

        Raises:
            NotFound: There is none of that id, or end of one.
        """

        def change(rows: Rows) -> None:
            found = _only([each.op_id for each in rows.refused()], op_id, "refused write")
            rows.apply(Transaction(dropped_refusals=(found,)))

        self.replica.write(change)

    def _parked(self, rows: Rows, conflict_id: str, *, also_resolved: bool = False) -> Parked:
        parked = {each.conflict_id: each for each in rows.parked(also_resolved=also_resolved)}
        return parked[_only(list(parked), conflict_id, "open conflict")]

    # ---- underneath

    def _queue(
        self, rows: Rows, seen: Seen | None, body: Body, *, run_id: str = "", note: str = ""
    ) -> None:
        engine = Engine(rows, self._now, new_id)
        if seen is not None:
            rows.apply(engine.save(seen.rid, body, run_id=run_id, note=note))
        elif body is not None:
            rows.apply(engine.create(body, run_id=run_id, note=note))

    def _record(self, rows: Rows, name: str, seen: Seen | None) -> Record:
        if seen is None:
            raise self._not_found(rows, name)
        return _as_record(name, seen, rows.trouble_with(seen.rid, name))

    def _not_found(self, rows: Rows, full: str) -> NotFound:
        names = rows.live_names()
        if len(names) > _FEW:
            start = full.rpartition("/")[2][:2].lower()
            names = [n for n in names if n.rpartition("/")[2].lower().startswith(start)][:_FEW]
        return NotFound(full, near=difflib.get_close_matches(full, names, _NEAR))


# ---- what a person sees


def _newest(seen: Seen | None) -> list[str]:
    return [seen.rid] if seen is not None else []


def seen_named(rows: Rows, full: str) -> Seen | None:
    """The live resource under a name; one saved here before one the store has."""
    for op in reversed(rows.ops_named(full)):
        seen = seen_of(rows, op.rid)
        if seen is not None and _name(seen.body) == full:
            return seen
    base = rows.base_named(full)
    if base is None:
        return None
    seen = seen_of(rows, base.rid)
    return seen if seen is not None and _name(seen.body) == full else None


def seen_of(rows: Rows, rid: str) -> Seen | None:
    """A resource that is there, and not deleted."""
    last, base = rows.last_op(rid), rows.base(rid)
    body = last.body if last is not None else base.body if base is not None else None
    return None if body is None else Seen(rid, body, base, last)


def all_seen(rows: Rows, top: str) -> dict[str, Seen]:
    """Everything in *top* and below, by name."""
    last = {op.rid: op for op in rows.ops()}
    found = {
        base.stored.name: Seen(base.rid, base.body, base, None)
        for base in rows.bases_in(top)
        if base.rid not in last
    }
    for rid, op in last.items():
        name = _name(op.body)
        if op.body is not None and f"{name}/".startswith(f"{top.rstrip('/')}/"):
            found[name] = Seen(rid, op.body, rows.base(rid), op)
    return found


def _as_record(name: str, seen: Seen, trouble: str) -> Record:
    body = seen.body or {}
    waits = seen.last is not None and seen.last.accepted is None
    return Record(
        name=name,
        resource_type=_type(body),
        config=body,
        version=_version(body),
        saved_at=seen.saved_at,
        sync=trouble or ("queued" if waits else "current"),
    )


def _config(name: str, resource_type: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent: the fields as JSON holds them, with name and type."""
    if not resource_type:
        raise BadInput(f"cannot save {name}: a record has a resource_type, such as function")
    try:
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(fields)))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise BadInput(f"cannot save {name}: its config is not JSON: {exc}") from exc
    told |= {"name": name, "resource_type": resource_type}
    told.setdefault("resource_subtype", resource_type.capitalize())
    return told


def _name(body: Body) -> str:
    return str((body or {}).get("name", ""))


def _type(body: Body) -> str:
    return clean(str((body or {}).get("resource_type", "")))


def _version(body: Body) -> str:
    return "" if body is None else version_of(spell(body))


def _told(before: Body, after: Body, note: str) -> str:
    """What changed, in a few words, behind why."""
    what = _changed(before, after)
    return f"{clean(note)}: {what}" if note else what


def _changed(before: Body, after: Body) -> str:
    if after is None:
        return "deleted"
    if before is None:
        return "created"
    if _name(before) != _name(after):
        return f"renamed from {clean(_name(before))}"
    fields = [clean(change.pointer.lstrip("/")) for change in changes(before, after)]
    if len(fields) > _MOST_FIELDS:
        fields[_MOST_FIELDS - 1 :] = [f"and {len(fields) - _MOST_FIELDS + 1} more"]
    return ", ".join(fields) or "unchanged"


def _chosen(parked: Parked, theirs: Body, fields: Mapping[str, str]) -> dict[str, Any]:
    """Theirs, with those fields that were said to be ours."""
    if parked.ours is None or theirs is None:
        raise BadInput(f"one side deleted {parked.name}: take ours or theirs as a whole")
    wrong = sorted(pointer for pointer, side in fields.items() if side not in {"ours", "theirs"})
    if wrong:
        raise BadInput(f"{wrong[0]}: {fields[wrong[0]]!r} is no side; say ours or theirs")
    changed = {change.pointer for change in changes(parked.ours, theirs)} | set(parked.fields)
    unknown = sorted(pointer for pointer in fields if pointer not in changed)
    if unknown:
        raise BadInput(
            f"{unknown[0]} is no field that differs; those are {', '.join(sorted(changed))}"
        )
    sides: dict[str, str] = {}
    for pointer, side in fields.items():
        if sides.setdefault(unit_of(pointer), side) != side:
            raise BadInput(
                f"{pointer} is decided together with {', '.join(f'/{member}' for member in CODE)}: "
                "half of one code and half of another is no code"
            )
    body = theirs
    for unit, side in sides.items():
        for pointer in [f"/{member}" for member in CODE] if unit == "/code" else [unit]:
            if side == "ours":
                body = three_way.take(body, pointer, parked.ours)
    return body


def _only(known: Sequence[str], typed: str, kind: str) -> str:
    """The one id that is *typed*, or ends so."""
    if typed in known:
        return typed
    found = [each for each in known if typed and each.endswith(typed)]
    if len(found) > 1:
        raise BadInput(f"{typed!r} is the end of several; say more of it")
    if not found:
        raise NotFound(typed, kind=kind, near=[each[-12:] for each in known[:_NEAR]])
    return found[0]


def _as_conflict(parked: Parked) -> Conflict:
    return Conflict(
        conflict_id=parked.conflict_id,
        name=parked.name,
        why=parked.why,
        fields=parked.fields,
        base=parked.base,
        ours=parked.ours,
        theirs=parked.theirs,
        author=clean(parked.author),
        at=parked.at,
    )
