"""``rh.load``, ``rh.exists``, ``rh.resources`` and the current folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rhdesk.errors import BadInput, BadName, NotFound
from rhdesk.handles.session import session
from rhdesk.models import Name

if TYPE_CHECKING:
    from rhdesk.handles.resource import Resource


class Seen(NamedTuple):
    """What tells that a name may mean something else than it did: cheaper than loading it."""

    name: Name
    file: str
    """Of a name of the repository; empty for others."""
    mark: tuple[int, int] | str
    """That file's time stamp and inode, or the version; empty where there is nothing."""

    @classmethod
    def of(cls, name: Name) -> Seen:
        """As it is now."""
        file = ""
        if name.root == "~":
            folder = session().desk.asynchronous.names_room.folder(name)
            file = str(folder / "config.json")
        return cls(name, file, "").again()

    def again(self) -> Seen:
        """The same name as it is now; equal if nothing happened to it."""
        if self.name.root == "^":
            return self  # it comes with this program, and changes with it
        try:
            if not self.file:
                return self._replace(mark=session().desk.load(str(self.name)).version)
            found = os.stat(self.file)
        except (OSError, NotFound):
            return self._replace(mark="")
        return self._replace(mark=(found.st_mtime_ns, found.st_ino))


_ROOTS: Final = {"~", "@", "^", "/", "."}
_folders: list[str] = ["~"]
"""Where names without a root belong; the last is current."""


def parse(name: str) -> Name:
    """Read a name; one without a root belongs to the current folder."""
    return Name.parse(name, folder=current_folder())


def load(name: str, instantiate: bool = True, dryrun: bool = False) -> Any:
    """What is saved under a name: a handle, or with ``instantiate=False`` its config.

    Raises:
        NotFound: Nothing is; `near` holds the closest names.
    """
    parsed = parse(name)
    seen = Seen.of(parsed)
    record = session().desk.load(str(parsed))
    if not instantiate:
        return record.config
    handle = from_config(record.config, dryrun=dryrun)
    handle.is_saved_as(record.version)
    if not parsed.version:
        handle.follows(seen)
    return handle


def exists(name: str, resource_type: str | None = None) -> bool:
    """Whether something is saved under *name* (of that type, if one is given)."""
    try:
        record = session().desk.load(str(parse(name)))
    except NotFound:
        return False
    return resource_type is None or record.resource_type == resource_type


def resources(path: str | None = None, full_paths: bool = False) -> list[str]:
    """Names of what is saved in a folder, sorted."""
    found = session().desk.resources(_folder(path or current_folder()))
    return [record.name if full_paths else Name.parse(record.name).leaf for record in found]


def locate(name_or_path: str, resolve_path: bool = True) -> str | None:
    """Folder of a local name's config; None for one that is not here."""
    name = parse(name_or_path)
    if name.root != "~" or not session().desk.exists(str(name)):
        return None
    place = session().desk.asynchronous.names_room.folder(name)
    return str(place if resolve_path else place.relative_to(Path.cwd()))


def set_folder(path: str, create: bool = False) -> None:
    """Make *path* the current folder; it comes into being with its first name.

    Raises:
        BadName: *path* does not spell a folder.
        NotFound: Nothing is saved in it, and *create* is false.
    """
    folder = path.rstrip("/") or "/"
    if folder not in _ROOTS:
        folder = str(parse(folder))
    if not create and folder not in _ROOTS and not session().desk.resources(folder):
        raise NotFound(folder, kind="folder with saved resources")
    if folder == ".":
        raise BadName("'.' is the current folder already; folders look like ~/team/models")
    _folders.append(folder)


def _folder(path: str) -> str:
    """A folder as the desk wants it: "" is the repository, ``@`` and ``/`` are the store."""
    root = path.rstrip("/") or "/"
    if root == ".":
        return _folder(current_folder())
    return {"~": ""}.get(root, root) if root in _ROOTS else str(parse(root))


def unset_folder() -> None:
    """Go back to the folder before."""
    if len(_folders) > 1:
        _folders.pop()


def current_folder() -> str:
    """Where names without a root belong."""
    return _folders[-1]


def ipython() -> None:
    """A Python shell where the program is: IPython if it is installed."""
    try:
        from IPython import embed  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        import code

        code.interact()
    else:
        embed(colors="neutral")


def from_config(config: dict[str, Any], *, dryrun: bool = False) -> Resource:
    """The handle a config describes.

    Raises:
        BadInput: Its type is none this rhdesk knows.
    """
    from rhdesk.handles.blob import Blob
    from rhdesk.handles.cluster import Cluster
    from rhdesk.handles.env import Env
    from rhdesk.handles.folder import File, Folder
    from rhdesk.handles.function import Function
    from rhdesk.handles.module import Module
    from rhdesk.handles.ondemand import OnDemandCluster
    from rhdesk.handles.table import Table

    is_ondemand = config.get("resource_subtype") == "OnDemandCluster"
    made: dict[str, Any] = {
        "blob": Blob.of_config,
        "cluster": OnDemandCluster.of_config if is_ondemand else Cluster.of_config,
        "env": Env.of_config,
        "file": File.of_config,
        "folder": Folder.of_config,
        "function": Function.of_config,
        "module": Module.of_config,
        "table": Table.of_config,
    }
    kind = str(config.get("resource_type", ""))
    if kind not in made:
        raise BadInput(
            f"{config.get('name')} is a {kind or 'thing without a type'}; "
            f"this rhdesk makes handles of {', '.join(sorted(made))}"
        )
    handle: Resource = made[kind](config)
    handle.dryrun = dryrun
    return handle
