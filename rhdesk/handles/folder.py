"""``rh.folder`` and ``rh.file``: data on any system, as v0.0.12 spells it."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Mapping, Sequence
from typing import IO, Any, ClassVar, Self

import msgspec

from rhdesk.errors import AlreadyExists, BadInput, NotFound
from rhdesk.handles import naming
from rhdesk.handles.resource import Resource
from rhdesk.handles.session import session
from rhdesk.models import Entry


def folder(
    name: str | None = None,
    path: str | None = None,
    system: Any = None,
    dryrun: bool = False,
    local_mount: bool = False,
    data_config: dict[str, Any] | None = None,
) -> Folder:
    """A folder of this machine, a cluster, a host or a bucket; with a name alone the saved one.

    Args:
        system: ``here``, a cluster or its name, ``s3``, ``memory`` ...; or *path* says it.

    Raises:
        BadInput: *local_mount* or *data_config* is given: nothing is mounted, and credentials
            come from where their provider keeps them.
    """
    if local_mount or data_config:
        raise BadInput("a folder takes neither local_mount nor data_config; set up its provider")
    if path is None:
        if name is None:
            raise BadInput("a folder needs a path: rh.folder(path='s3://bucket/data')")
        return Folder.from_name(name, dryrun=dryrun)
    return Folder(name, path, system, dryrun=dryrun)


def file(
    data: Any = None,
    name: str | None = None,
    path: str | None = None,
    system: Any = None,
    data_config: dict[str, Any] | None = None,
    dryrun: bool = False,
) -> File:
    """A file of any system; *data*, bytes or text, is written to it at once.

    Raises:
        BadInput: There is no path, or *data* is something else.
    """
    if data_config:
        raise BadInput("a file takes no data_config; set up its provider")
    if path is None:
        if name is None or data is not None:
            raise BadInput("a file needs a path: rh.file(b'...', path='gpubox:data/x')")
        return File.from_name(name, dryrun=dryrun)
    made = File(name, path, system, dryrun=dryrun)
    return made if data is None else made.write(data)


class Data(Resource):
    """What folders and files share: a place."""

    def __init__(
        self, name: str | None, path: str, system: Any = None, dryrun: bool = False
    ) -> None:
        from rhdesk.data.systems import parse  # fsspec: only who has data needs it

        super().__init__(name, dryrun)
        given = system if isinstance(system, str) else getattr(system, "name", None)
        self.place = parse(path, given or "")
        self._contents: dict[str, Any] = {}

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        made = cls(None, str(config["path"]), str(config["system"]))
        made._name = naming.parse(str(config["name"])) if config.get("name") else None
        return made

    @property
    def path(self) -> str:
        return self.place.path

    @property
    def system(self) -> str:
        return self.place.system

    @property
    def fsspec_url(self) -> str:
        """As fsspec spells it; a cluster's has the cluster for a host."""
        protocol = "file" if self.system == "here" else self.system
        return f"{protocol}://{self.path}"

    @property
    def config_for_rns(self) -> dict[str, Any]:
        told = {"system": self.system, "path": self.path}
        contents = {"contents": self._contents} if self._contents else {}
        return super().config_for_rns | told | contents

    def save(self, name: str | None = None, overwrite: bool = True) -> Self:
        """Save where it is and, if it is there, which files it holds with their hashes: what was
        changed since then is told by `rhdesk data check` and by `diff` of two versions."""
        self._contents = held(str(self.place))
        return super().save(name, overwrite)

    def is_local(self) -> bool:
        """Whether what it holds is on this machine."""
        return self.system == "here"

    def exists_in_system(self) -> bool:
        try:
            session().desk.data_entry(str(self.place))
        except NotFound:
            return False
        return True

    def to(
        self, system: Any, path: str | None = None, data_config: dict[str, Any] | None = None
    ) -> Self:
        """Copy it to another system; without *path* under its own name where that starts.

        Raises:
            BadInput: *data_config* is given, or the two are one.
        """
        if data_config:
            raise BadInput("a copy takes no data_config; set up its provider")
        other = type(self)(None, path or posixpath.basename(self.path.rstrip("/")), system)
        session().show(session().desk.copy_data(str(self.place), str(other.place)))
        return other

    def mv(
        self, system: Any, path: str | None = None, data_config: dict[str, Any] | None = None
    ) -> None:
        """Move it to another system; from now on it is there."""
        if data_config:
            raise BadInput("a move takes no data_config; set up its provider")
        other = type(self)(None, path or posixpath.basename(self.path.rstrip("/")), system)
        session().show(session().desk.move_data(str(self.place), str(other.place)))
        self.place = other.place


class Folder(Data):
    RESOURCE_TYPE: ClassVar[str] = "folder"

    def ls(self, full_paths: bool = True, sort: bool = False) -> list[str]:
        """Paths in it, by path, or with *sort* newest first."""
        found = session().desk.list_data(str(self.place))
        if sort:
            found.sort(key=_newest, reverse=True)
        return [each.path if full_paths else _leaf(each) for each in found]

    def open(self, name: str, mode: str = "rb", encoding: str | None = None) -> IO[Any]:
        """A file in it, as the built-in `open` has it: read whole when it is opened, and written
        when it is closed, unless an error left the ``with`` statement.

        Raises:
            BadInput: *mode* is neither reading nor writing.
        """
        return opened(self._at(name), mode, encoding)

    def contains(self, name_or_path: str) -> bool:
        """Whether there is a file or folder of that name in it, or of that path below it."""
        return File(None, self._at(self._relative(name_or_path))).exists_in_system()

    def locate(self, name_or_path: str) -> tuple[str, str]:
        """Path and system of what is in it.

        Raises:
            NotFound: Nothing is.
        """
        found = File(None, self._at(self._relative(name_or_path)))
        if not found.exists_in_system():
            raise NotFound(name_or_path, kind=f"file in {self.place}")
        return found.path, found.system

    def _relative(self, name_or_path: str) -> str:
        return name_or_path.removeprefix(f"{self.path.rstrip('/')}/")

    def get(self, name: str, mode: str = "rb", encoding: str | None = None) -> bytes | str:
        """What a file in it holds; text if *mode* is ``r``."""
        data = session().desk.read_data(self._at(name))
        return data if "b" in mode else data.decode(encoding or "utf-8")

    def put(self, contents: Mapping[str, bytes | str], overwrite: bool = False) -> None:
        """Write files by name; nothing is written if one is there and *overwrite* is false.

        Raises:
            AlreadyExists: One is there.
        """
        places = {self._at(name): data for name, data in contents.items()}
        for place in () if overwrite else places:
            if File(None, place).exists_in_system():
                raise AlreadyExists(f"{place} is there already; say overwrite=True")
        for place, data in places.items():
            session().desk.write_data(place, _bytes(data))

    def mkdir(self) -> Self:
        session().desk.make_data_folder(str(self.place))
        return self

    def rm(self, contents: Sequence[str] | None = None, recursive: bool = True) -> None:
        """Remove it, or only *contents* of it."""
        places = [str(self.place)] if contents is None else [self._at(name) for name in contents]
        for place in places:
            session().desk.remove_data(place, recursive=recursive)

    def _at(self, name: str) -> str:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise BadInput(f"{name!r} is not in {self.place}")
        return posixpath.join(str(self.place), name)


class File(Data):
    RESOURCE_TYPE: ClassVar[str] = "file"

    def fetch(self) -> bytes:
        """What it holds. A pickle is not opened: it may be anybody's."""
        return session().desk.read_data(str(self.place))

    def open(self, mode: str = "rb") -> IO[Any]:
        """It, as the built-in `open` has it; see `Folder.open`."""
        return opened(str(self.place), mode, None)

    def write(self, data: bytes | str) -> Self:
        """Have it hold *data*; what it held stays until all of that is written."""
        session().desk.write_data(str(self.place), _bytes(data))
        return self

    def rm(self) -> None:
        session().desk.remove_data(str(self.place))


def held(place: str) -> dict[str, Any]:
    """What a place holds now, as a record keeps it; empty where nothing is."""
    try:
        return dict(msgspec.to_builtins(session().desk.note_data(place)))
    except NotFound:
        return {}


def opened(place: str, mode: str, encoding: str | None) -> IO[Any]:
    """A file of any system, as the built-in `open` has it."""
    kind = mode.replace("b", "").replace("t", "")
    if kind not in {"r", "w", "a"}:
        raise BadInput(f"{mode!r} opens nothing; r, w and a do, with b for bytes")
    held = b"" if kind == "w" else _held(place, may_be_missing=kind == "a")
    raw = io.BytesIO(held) if kind == "r" else _Written(place, held)
    return raw if "b" in mode else _Text(raw, encoding or "utf-8", newline="")


def _held(place: str, *, may_be_missing: bool) -> bytes:
    try:
        return session().desk.read_data(place)
    except NotFound:
        if may_be_missing:
            return b""
        raise


class _Written(io.BytesIO):
    """What is written when it is closed, and not when what fills it has failed."""

    def __init__(self, place: str, held: bytes) -> None:
        super().__init__()
        self.has_failed = False
        self._place = place
        self.write(held)

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            if not self.has_failed:
                session().desk.write_data(self._place, data)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.has_failed = kind is not None
        self.close()


class _Text(io.TextIOWrapper):
    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(self.buffer, _Written):
            self.buffer.has_failed = kind is not None
        self.close()


def _bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise BadInput(f"files hold bytes or text, not {type(data).__name__}; encode it first")


def _leaf(entry: Entry) -> str:
    return posixpath.basename(entry.path.rstrip("/"))


def _newest(entry: Entry) -> float:
    return entry.modified_at.timestamp() if entry.modified_at else 0.0
