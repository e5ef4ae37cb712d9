"""What providers share: where files are, what the environment says, and writing beside others.

Nothing of a file that a provider does not mean is lost when it writes: another profile, another
registry, another machine stay as they were.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from rhdesk import whole_file
from rhdesk.errors import StoreUnwritable


class Place(msgspec.Struct, frozen=True):
    """A person's home on some machine, its files, and their environment there."""

    home: Path
    environ: Mapping[str, str]

    @classmethod
    def here(cls) -> Place:
        return cls(Path.home(), dict(os.environ))

    def file(self, default: str, *variables: str, below: str = "") -> Path:
        """A file at its default place below home, or where a variable says it is.

        Args:
            variables: Looked at in this order.
            below: What a variable that names a folder has the file in.
        """
        for variable in variables:
            if said := self.environ.get(variable):
                return Path(said).expanduser() / below if below else Path(said).expanduser()
        return self.home / default

    def text(self, file: Path) -> str:
        """The file's text, empty when there is none."""
        try:
            return file.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, sorted; empty where there is none."""
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def put(self, file: Path, text: str) -> Path:
        """Write a file of credentials: whole, and for its owner only."""
        try:
            whole_file.write(file, [text.encode()], durable=True)
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
        return file

    def variables(self, names: Mapping[str, str]) -> dict[str, str]:
        """Fields that are set in the environment.

        Args:
            names: Field by variable.
        """
        return {
            field: self.environ[name] for name, field in names.items() if self.environ.get(name)
        }


class Credentials(Protocol):
    """One provider: how its credentials are read and written, in its own format and place."""

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    variables: ClassVar[Mapping[str, str]]
    """Field by environment variable."""
    pointing: ClassVar[Mapping[str, str]]
    """Variables that say where the files are, each with what is at a home's own: a file, or the
    folder it is in."""

    def places(self, place: Place) -> list[Path]:
        """The files, whether they are there or not."""
        ...

    def read(self, place: Place) -> dict[str, str]:
        """What is there; empty for nothing.

        Raises:
            ValueError: What is there cannot be understood. The message holds no value.
        """
        ...

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        """Put values where the provider looks for them; returns the files written.

        Raises:
            ValueError: A field is missing, or what is there cannot be merged with.
        """
        ...


def need(values: Mapping[str, str], field: str, provider: str) -> str:
    """A field's value.

    Raises:
        ValueError: It is missing.
    """
    try:
        return values[field]
    except KeyError:
        raise ValueError(f"credentials of {provider} need {field}") from None


class Packed(Place, frozen=True):
    """A home that is only written down, and was empty: what is put there is in `files`."""

    files: dict[Path, str]

    def text(self, file: Path) -> str:
        return self.files.get(file, "")

    def names(self, folder: Path) -> list[str]:
        return sorted(file.name for file in self.files if file.parent == folder)

    def put(self, file: Path, text: str) -> Path:
        self.files[file] = text
        return file
