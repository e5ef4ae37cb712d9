"""What every handle is: something with a name that can be saved, renamed, forgotten."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

from rhdesk.current_run import current_run, is_run_id
from rhdesk.errors import BadInput, NotFound
from rhdesk.handles import naming
from rhdesk.handles.session import session
from rhdesk.models import Diff, Name, Record, Version

_LOOKED_AT: Final = 64
"""Members of a list or dict that are looked at for handles."""


class Resource:
    """A named thing.

    Attributes:
        RESOURCE_TYPE: What its record is of.
        provenance: Which run it is of: ``{"run_id": ...}``. A handle that a call returned has it
            set; a version that is saved with it says that this run wrote it, and so does the
            lineage. Code that is part of a run needs none.
    """

    RESOURCE_TYPE: ClassVar[str] = "resource"
    _version: str = ""
    """What is saved under its name, as far as this handle is that; empty if it never was."""

    def __init__(
        self,
        name: str | None = None,
        dryrun: bool | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self._name = naming.parse(name) if name else None
        self.dryrun = bool(dryrun)
        self.provenance = provenance
        self._seen: naming.Seen | None = None
        """What it was loaded from, of a handle that means what its name means."""

    @property
    def name(self) -> str | None:
        """The last part of its name; None for one without."""
        return self._name.leaf if self._name else None

    @name.setter
    def name(self, name: str) -> None:
        self.rename(name)

    @property
    def rns_address(self) -> str | None:
        """The full name, ``~/train``."""
        return str(self._name) if self._name else None

    @rns_address.setter
    def rns_address(self, name: str) -> None:
        self.rename(name)

    @property
    def config_for_rns(self) -> dict[str, Any]:
        """What is saved, as JSON can hold it."""
        return {
            "name": self.rns_address,
            "resource_type": self.RESOURCE_TYPE,
            "resource_subtype": type(self).__name__,
        }

    def save(self, name: str | None = None, overwrite: bool = True) -> Self:
        """Save under its name, or under *name*: a new version, unless nothing changed.

        Raises:
            AlreadyExists: The name is taken, and *overwrite* is false.
            BadInput: It has no name and none was given.
        """
        if name:
            self._name = naming.parse(name)
        if self._name is None:
            raise BadInput(f"this {self.RESOURCE_TYPE} has no name; save it as: .save('~/train')")
        record = Record(
            name=str(self._name), resource_type=self.RESOURCE_TYPE, config=self.config_for_rns
        )
        saved = session().desk.save(record, overwrite=overwrite, run_id=self._written_by())
        self._version = saved.version
        return self

    def rename(self, name: str) -> None:
        """Give it another name; what is saved moves with it."""
        new = naming.parse(name)
        old, self._name = self._name, new
        if old is not None and old != new:
            self._version = ""
            if session().desk.exists(str(old)):
                self._version = session().desk.rename(str(old), str(new)).version

    def unname(self) -> None:
        """Delete what is saved under its name, and be without one."""
        self.delete_configs()
        self._name, self._version = None, ""

    def delete_configs(self) -> None:
        """Delete what is saved under its name; its versions stay in the history."""
        if self._name is not None and session().desk.exists(str(self._name)):
            session().desk.delete(str(self._name))

    def rollback(self, version: str) -> Self:
        """Make what *version* was (``1a2b3c``, ``{2026-10-01}``) the newest, also where it is live.

        Returns:
            A handle of what is saved now.

        Raises:
            NotFound: It never was so; `near` holds versions it had.
            BadInput: It has no name.
        """
        if self._name is None:
            raise BadInput(f"this {self.RESOURCE_TYPE} has no name, so it has no versions")
        session().desk.rollback(f"{self._name.without_version}@{version}")
        return self.from_name(str(self._name.without_version), dryrun=self.dryrun)

    def diff(self, before: str = "", after: str = "") -> Diff:
        """What differs between two of its versions, by default the newest and the one before it.

        Raises:
            NotFound: It never was so; `near` holds versions it had.
            BadInput: It has no name, or one version only.
        """
        if self._name is None:
            raise BadInput(f"this {self.RESOURCE_TYPE} has no name, so it has no versions")
        name = str(self._name.without_version)
        sides = [f"{name}@{version}" if version else "" for version in (before, after)]
        return session().desk.diff(sides[0] or name, sides[1])

    def history(self, num_entries: int | None = None) -> list[Version]:
        """Its versions, newest first."""
        if self._name is None:
            return []
        return session().desk.history(str(self._name), limit=num_entries or 100)

    def share(
        self,
        users: list[str] | str,
        access_type: str = "read",
        notify_users: bool = True,
        headers: dict[str, str] | None = None,
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Grant others access in the store; it is saved there first if it is not there yet.

        Args:
            access_type: ``read``, ``call``, ``write`` or ``admin``; v0.0.12's ``proxy`` is
                ``call``.
            notify_users: Does not count: the store writes no mail.
            headers: Does not count: whoever is logged in asks.

        Returns:
            The users who have access now, each with what they may do; and those that were new to
            the store, of which there are none: its keeper adds them.

        Raises:
            BadInput: It is kept in the repository, which is shared by pushing it; or nobody but
                its folder can be shared.
        """
        if self.is_local():
            raise BadInput(
                f"{self.rns_address or 'an unnamed resource'} is kept in the git repository you "
                "work in: push it to share it, or save it to a store: .save('@/train')"
            )
        name, wanted = str(self._name), [users] if isinstance(users, str) else users
        if not session().desk.exists(name):
            self.save()
        level = {"proxy": "call"}.get(access_type, access_type)
        granted = session().desk.share(name, wanted, level=level)
        told = dict(each.split(": ", 1) for each in granted)
        return {user: told[user] for user in wanted if user in told}, {}

    def pin(self) -> None:
        """Keep its config among the objects of this machine's cluster, under its name."""
        if self.rns_address is None:
            raise BadInput(f"this {self.RESOURCE_TYPE} has no name; save it first")
        session().desk.put(self.rns_address, self.config_for_rns)

    def save_attrs_to_config(self, config: dict[str, Any], attrs: list[str]) -> None:
        """Copy those of *attrs* that are set into *config*."""
        config.update({attr: getattr(self, attr) for attr in attrs if getattr(self, attr, None)})

    def refresh(self) -> Self:
        """Nothing to do: a handle holds no state of its own."""
        return self

    def is_local(self) -> bool:
        """Whether it is known without a network."""
        return self._name is None or self._name.is_local

    @classmethod
    def from_name(cls, name: str, dryrun: bool = False) -> Self:
        """The handle of what is saved under *name*.

        Raises:
            NotFound: Nothing is; `near` holds the closest names.
            BadInput: It is something else.
        """
        found = naming.load(name, dryrun=dryrun)
        if not isinstance(found, cls):
            raise BadInput(f"{name} is a {type(found).__name__}, not a {cls.__name__}")
        return found

    @staticmethod
    def from_config(config: dict[str, Any], dryrun: bool = False) -> Resource:
        """The handle a saved config describes.

        Raises:
            BadInput: Its type is none this rhdesk knows.
        """
        return naming.from_config(config, dryrun=dryrun)

    def is_saved_as(self, version: str) -> None:
        """It is what *version* of its name says."""
        self._version = version

    @staticmethod
    def saved_as(handle: Resource) -> tuple[str, str] | None:
        """Name and version of what a handle is saved as; None of one that is not."""
        if handle._name is None or not handle._version:
            return None
        return str(handle._name.without_version), handle._version

    def follows(self, seen: naming.Seen) -> None:
        """Mean from now on what the name means, also after it was saved or rolled back anew.

        A handle loaded at a version, or made of code at hand, goes on to mean just that.
        """
        self._seen = seen

    def _newer(self) -> dict[str, Any] | None:
        """The config under its name, if that may have changed since it was last asked for."""
        if self._seen is None or (now := self._seen.again()) == self._seen:
            return None
        self._seen = now
        try:
            record = session().desk.load(str(now.name))
        except NotFound:  # deleted: a handle outlives its name
            return None
        self._version = record.version
        return record.config

    def _written_by(self) -> str:
        """The run that this thread's code, or v0.0.12's `provenance`, says it is part of."""
        told = self.provenance or {}
        named = (str(told.get(key) or "") for key in ("run_id", "run_name", "name"))
        return current_run() or next(filter(is_run_id, named), "")

    def __repr__(self) -> str:
        return f"<rhdesk {self.RESOURCE_TYPE} {self.rns_address or '(unnamed)'}>"


def name_of(parsed: Name | None, otherwise: str) -> str:
    """The full name, or what an unnamed thing is called in the record."""
    return str(parsed) if parsed is not None else otherwise


def came_of(value: Any, run_id: str) -> Any:
    """*value*, which a run returned: of a handle in it the run is what saves it, if it is saved."""
    if isinstance(value, Resource):
        if value.provenance is None:
            # Not as an attribute is set: a module would set it on its instance.
            object.__setattr__(value, "provenance", {"run_id": run_id})
    elif isinstance(value, list | tuple) and len(value) <= _LOOKED_AT:
        for each in value:
            if isinstance(each, Resource):
                came_of(each, run_id)
    elif isinstance(value, dict) and len(value) <= _LOOKED_AT:
        came_of(list(value.values()), run_id)
    return value
