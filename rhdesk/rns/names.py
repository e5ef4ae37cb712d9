"""Names to records, and the versions each name had: ``~/x`` of this project, ``^x`` of rhdesk's.

What is kept here needs no network. ``@/x`` and ``/owner/x`` belong to a remote store; until one is
connected, this module says so.
"""

from __future__ import annotations

import bisect
import difflib
import gc
import itertools
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from rhdesk.config import Settings
from rhdesk.current_run import is_run_id
from rhdesk.errors import AlreadyExists, BadInput, BadName, NotFound
from rhdesk.foreign import clean
from rhdesk.models import Finding, Name, Record, Version
from rhdesk.rns import blobs, config_file, history
from rhdesk.rns.config_file import BROKEN, Config
from rhdesk.rns.index import Row
from rhdesk.rns.local import Edit, LocalStore
from rhdesk.rns.work_tree import WorkTree

if TYPE_CHECKING:
    from rhdesk.rns.versions import Change

_NEAR: Final = 3
_BESIDE: Final = 500
"""Of more, those beside it in the order of names, and those whose last part begins alike."""
_FEW: Final = 5_000
"""So many names are compared letter by letter within the time a person notices."""
_LONGEST_NOTE: Final = 200


class LocalNames:
    """Satisfies `rhdesk.ports.NameStore`. Blocking; one thread owns it.

    Nothing is read before the first verb, and nothing is made before the first save, except the
    index in the cache folder.
    """

    def __init__(
        self,
        settings: Settings,
        start: Path | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Find the working tree *start* is in; by default, that of the current folder."""
        self.place = WorkTree.find(start or Path.cwd(), settings.data_dir / "rns")
        self.now = now
        self.store = LocalStore(self.place, settings.cache_dir, now)

    def close(self) -> None:
        self.store.close()

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

        Args:
            author: Who saved it; by default the person git knows, or ``user@host``.
            run_id: The run that saves it, if one does.
            note: Why, in a few words; the history shows it in front of what changed.

        Raises:
            BadInput: *run_id* cannot be the id of a run.
            AlreadyExists: The name is taken and *overwrite* is False; or it could not be told from
                another on a file system without upper and lower case; or it is a folder.
            StoreUnwritable: It is not saved.
        """
        name = Name.parse(record.name)
        leaf = self._writable(name)
        config = config_file.write(str(name), record.resource_type, record.config)
        reason = _line(note)
        trailers = _trailers(run_id, reason)
        kept: list[Row] = []

        def plan(rows: Mapping[str, Row]) -> Edit | None:
            before = rows.get(leaf)
            if before is None:
                self.refuse_taken(leaf)
            elif not overwrite:
                raise AlreadyExists(f"{name} exists already; say overwrite to save a new version")
            elif before.version == config.version:
                kept.append(before)
                return None
            subject = f"{f'{reason}:' if reason else 'save'} {name}: {_told(before, config)}"
            return Edit(f"{subject}{trailers}", [(leaf, config)], author)

        at = self.store.write([leaf], plan)
        return _saved(name, config, at) if at else _record(kept[-1])

    def load(self, name: Name) -> Record:
        """The record under *name*, now or at the version it says.

        Raises:
            NotFound: There is no such name or version; `near` tells which come close.
            BadInput: Its file is broken; the message says where.
        """
        if name.root == "^":
            return self._builtin(name)
        leaf = self._kept_here(name)
        if name.version:
            return self._at_version(name)
        row = self.store.row(leaf)
        if row is None:
            raise self._not_found(name)
        if row.resource_type == BROKEN:
            raise self._broken(row)
        return _record(row)

    def exists(self, name: Name) -> bool:
        if name.root == "^":
            return not name.version and "/".join(name.parts) in self._builtins
        leaf = self._kept_here(name)
        if name.version:
            try:
                self._at_version(name)
            except NotFound:
                return False
            return True
        return self.store.row(leaf) is not None

    def names(self, *, folder: str = "", resource_type: str = "") -> list[Record]:
        """What is in *folder* and the folders in it, by default in all of ``~``; sorted.

        A file that cannot be read has the type ``broken``, and its config tells why.
        """
        inside = self._inside(folder)
        if inside == "^":
            found = [_builtin_record(*item) for item in self._builtins.items()]
        else:
            with _without_collecting():
                rows = self.store.rows()
                found = [_record(row) for row in rows if row[0].startswith(inside)]
        if resource_type:
            found = [record for record in found if record.resource_type == resource_type]
        return found

    def rename(self, old: Name, new: Name) -> Record:
        """Move a resource to another name, as one version of both.

        Raises:
            AlreadyExists: *new* is taken.
        """
        old_leaf, new_leaf = self._writable(old), self._writable(new)
        made: list[Config] = []

        def plan(rows: Mapping[str, Row]) -> Edit | None:
            row = rows.get(old_leaf)
            if row is None:
                raise self._not_found(old)
            if row.resource_type == BROKEN:
                raise self._broken(row)
            if new_leaf in rows:
                raise AlreadyExists(f"cannot rename {old}: {new} exists already")
            self.refuse_taken(new_leaf, but=old_leaf)
            made.append(config_file.write(str(new), row.resource_type, _fields(row)))
            message = (
                f"rename {old} to {new}\n\nRenamed-From: {old_leaf}\nRenamed-To: {new_leaf}\n"
            )
            return Edit(message, [(old_leaf, None), (new_leaf, made[-1])])

        at = self.store.write([old_leaf, new_leaf], plan)
        return _saved(new, made[-1], at)

    def delete(self, name: Name) -> None:
        """Remove *name*; its versions stay in the history, and can be loaded by version.

        Raises:
            NotFound: There is no such name.
        """
        leaf = self._writable(name)

        def plan(rows: Mapping[str, Row]) -> Edit | None:
            if leaf not in rows:
                raise self._not_found(name)
            return Edit(f"delete {name}", [(leaf, None)])

        self.store.write([leaf], plan)

    def history(self, name: Name, *, limit: int = 100) -> list[Version]:
        """The versions of *name*, newest first, across renames and deletions.

        Raises:
            NotFound: The name never was.
        """
        if name.root == "^":
            self._builtin(name)
            return []
        leaf = self._kept_here(name)
        self.store.row(leaf)
        versions = self._versions(leaf, limit)
        if not versions:
            raise self._not_found(name)
        return versions

    # ---- care

    def examine(self, *, mend: bool) -> list[Finding]:
        """Everything that is wrong with git, files and index."""
        from rhdesk.rns.care import examine  # deferred: no other command needs it

        return examine(self.store, mend=mend)

    def rebuild(self) -> list[Finding]:
        """Make the index anew, from git and files."""
        from rhdesk.rns.care import rebuild

        return rebuild(self.store)

    # ---- versions

    def _versions(self, leaf: str, limit: int) -> list[Version]:
        """The newest *limit* versions, or all for 0."""
        changes = self.store.changes(leaf, limit and limit + 1)
        contents = blobs.read(self.place, (change.blob for change in changes if change.blob))
        configs = {blob: config_file.read(data) for blob, data in contents.items()}
        found: list[Version] = []
        earlier = [*changes[1:], None]
        for change, before in zip(changes, earlier, strict=False):
            config = configs.get(change.blob)
            found.append(
                Version(
                    name=f"~/{change.name}",
                    version=config.version if config else "",
                    saved_at=change.at,
                    author=clean(change.author),
                    summary=_summary(change, configs.get(before.blob) if before else None, config),
                    deleted=config is None,
                    run_id=change.run_id if is_run_id(change.run_id) else "",
                    note=clean(change.note),
                    config=config.fields if config else {},
                )
            )
        return found[:limit] if limit else found

    def _at_version(self, name: Name) -> Record:
        leaf = self._kept_here(name)
        self.store.row(leaf)  # so that an edit made by hand counts
        versions = self._versions(leaf, 0)
        if not versions:
            raise self._not_found(name.without_version)
        if name.as_of is not None:
            found = next((v for v in versions if v.saved_at <= name.as_of), None)
        else:
            matching = [v for v in versions if v.version.startswith(name.version)]
            if len({v.version for v in matching}) > 1:
                longer = " or ".join(sorted({f"@{v.version[:12]}" for v in matching}))
                raise BadInput(f"{name} fits several versions: say {longer}")
            found = matching[0] if matching else None
        if found is None or found.deleted:
            near = dict.fromkeys(
                f"{name.without_version}@{v.version[:8]}" for v in versions if not v.deleted
            )
            raise NotFound(str(name), kind="version", near=tuple(near)[:_NEAR])
        if "resource_type" not in found.config:
            raise BadInput(f"{name} cannot be read: {found.summary}")
        return Record(
            name=str(name.without_version),
            resource_type=found.config["resource_type"],
            config=found.config,
            version=found.version,
            saved_at=found.saved_at,
        )

    # ---- which names are ours

    def _kept_here(self, name: Name) -> str:
        if name.root not in {"~", ""}:
            raise BadInput(
                f"{name} is a name of a remote store, and none is connected; "
                f"~/{name.leaf} is kept here"
            )
        if any(part.lower() == "config.json" for part in name.parts):
            raise BadName(f"{name}: config.json is the file a name is kept in, not a name")
        return "/".join(name.parts)

    def _writable(self, name: Name) -> str:
        if name.root == "^":
            raise BadInput(
                f"{name} is shipped with rhdesk and cannot change; save it as ~/{name.leaf}"
            )
        leaf = self._kept_here(name)
        if name.version:
            raise BadInput(
                f"{name} is a version, and versions cannot change; say {name.without_version}"
            )
        return leaf

    def _inside(self, folder: str) -> str:
        """What the rows of *folder* start with; ``^`` for the builtins."""
        root = folder.rstrip("/") if folder != "/" else folder
        if root in {"", "~", "^"}:
            return "^" if root == "^" else ""
        if root in {"@", "/"}:
            raise BadInput(f"{folder} is a remote store, and none is connected; ~ is kept here")
        return f"{self._kept_here(Name.parse(root))}/"

    def refuse_taken(self, leaf: str, *, but: str = "") -> None:
        """Raise unless *leaf* can be added; *but* is about to go."""
        above = self.place.resource_above(leaf)
        if above not in ("", but):
            raise AlreadyExists(
                f"~/{above} is a resource, so ~/{leaf} cannot be kept in it; "
                "a name is a folder or a resource, not both"
            )
        inside = [other for other in self.store.inside(leaf) if other != but]
        if inside and inside[0].startswith(f"{leaf}/"):
            raise AlreadyExists(
                f"~/{leaf} is a folder: it holds ~/{inside[0]}; choose another name"
            )
        other = self.store.same_but_for_case(leaf, but=but)
        if other:
            raise AlreadyExists(
                f"~/{leaf} differs from ~/{other} in the case of letters only, "
                "which not every file system can tell apart; choose another name"
            )

    def _not_found(self, name: Name) -> NotFound:
        return NotFound(str(name), near=[f"~/{leaf}" for leaf in self._near("/".join(name.parts))])

    def _near(self, leaf: str) -> list[str]:
        names = self.store.names()
        if len(names) > _FEW:
            place = bisect.bisect(names, leaf)
            start = leaf.split("/")[-1][:3].lower()
            alike = (n for n in names if n.split("/")[-1][:3].lower() == start)
            beside = names[max(0, place - _BESIDE) : place + _BESIDE]
            names = list(dict.fromkeys([*beside, *itertools.islice(alike, _BESIDE)]))
        return difflib.get_close_matches(leaf, names, _NEAR)

    def _broken(self, row: Row) -> BadInput:
        file = str(self.place.file(row.name))
        return BadInput(
            f"~/{row.name} cannot be read: {config_file.complaint(file, _fields(row))}"
        )

    # ---- shipped with rhdesk

    @cached_property
    def _builtins(self) -> dict[str, dict[str, Any]]:
        data = Path(__file__).with_name("builtins.json").read_bytes()
        return dict(sorted(msgspec.json.decode(data, type=dict[str, dict[str, Any]]).items()))

    def _builtin(self, name: Name) -> Record:
        leaf = "/".join(name.parts)
        if name.version:
            raise BadInput(f"{name}: what is shipped with rhdesk has no versions")
        if leaf not in self._builtins:
            near = difflib.get_close_matches(leaf, self._builtins, _NEAR)
            raise NotFound(str(name), near=[f"^{other}" for other in near])
        return _builtin_record(leaf, self._builtins[leaf])


@contextmanager
def _without_collecting() -> Generator[None]:
    """Make many objects that all stay; the collector would look through them time and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _record(row: Row) -> Record:
    return Record(
        name=f"~/{row[0]}",
        resource_type=row[1],
        config=_DECODE(row[2]),
        version=row[3],
        saved_at=datetime.fromtimestamp(row[4], UTC),
    )


def _saved(name: Name, config: Config, at: datetime | None) -> Record:
    return Record(
        name=str(name),
        resource_type=config.resource_type,
        config=config.fields,
        version=config.version,
        saved_at=at and at.replace(microsecond=0),
    )


def _builtin_record(leaf: str, config: dict[str, Any]) -> Record:
    return Record(name=f"^{leaf}", resource_type=config["resource_type"], config=config)


def _fields(row: Row) -> dict[str, Any]:
    return _DECODE(row.config)


_DECODE: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _told(before: Row | None, config: Config) -> str:
    """The fields a save changes; not their values, because the ref may be pushed."""
    if before is None:
        return "new"
    if before.resource_type == BROKEN:
        return "repaired"
    return ", ".join(map(clean, history.changed_fields(_fields(before), config.fields)))


def _line(note: str) -> str:
    """A note as one line of a commit; whatever it holds, it begins no trailer of its own."""
    words = " ".join(clean(note).split())
    return words if len(words) <= _LONGEST_NOTE else f"{words[: _LONGEST_NOTE - 1]}…"


def _trailers(run_id: str, note: str) -> str:
    if run_id and not is_run_id(run_id):
        raise BadInput(f"{run_id[:80]!r} cannot be the id of a run; one looks like 4f1d08a2c3")
    told = [("Rhdesk-Run", run_id), ("Rhdesk-Note", note)]
    lines = [f"{key}: {value}\n" for key, value in told if value]
    return "\n\n" + "".join(lines) if lines else ""


def _summary(change: Change, before: Config | None, after: Config | None) -> str:
    """What a change did; behind why, where that is known."""
    what = _what(change, before, after)
    return f"{clean(change.note)}: {what}" if change.note else what


def _what(change: Change, before: Config | None, after: Config | None) -> str:
    if after is None and change.renamed_to:
        return f"renamed to ~/{clean(change.renamed_to)}"
    if after is not None and after.resource_type == BROKEN:
        return config_file.complaint("broken", after.fields)
    if before is not None and after is not None and before.resource_type == BROKEN:
        return "repaired"
    if change.renamed_from and change.renamed_from != change.name:
        return f"renamed from ~/{clean(change.renamed_from)}"
    old = before.fields if before else None
    return history.summary(old, after.fields if after else None)
