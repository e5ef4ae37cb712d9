"""A function or class made ready to travel: what it is, the files it needs, its shape.

Bundles are kept on the desk by hash, so that a name saved today can be sent tomorrow, from another
program, to a cluster that is new, without a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from rhdesk import whole_file
from rhdesk.errors import NotFound, StoreUnwritable
from rhdesk.models import Signature
from rhdesk.wire.messages import Definition, pack


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    """``function`` or ``module``."""
    module: str = ""
    qualname: str = ""
    tree: str = ""
    """Hash of the code tree; empty when no file travels."""
    files: dict[str, str] = {}
    """The tree: path to the SHA-256 of the file."""
    blob: str = ""
    """SHA-256 of the pickle, for code or state that travels by value."""
    python: str = ""
    """Minor version of Python that pickle is of, ``3.11``."""
    signature: Signature = Signature()
    methods: dict[str, Signature] = {}
    """Of a module: its public methods."""

    def definition(self, name: str) -> Definition:
        """As a servlet is told of it."""
        return Definition(
            kind=self.kind,
            name=name,
            tree=self.tree,
            module=self.module,
            qualname=self.qualname,
            blob=self.blob,
            python=self.python,
            signature={"text": self.signature.text, "doc": self.signature.doc},
        )

    def digest(self, name: str) -> str:
        """Hash of the definition: what a call names."""
        return sha256(pack(self.definition(name))).hexdigest()


class CodeShelf:
    """Files and pickles by hash, on the desk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, blobs: Mapping[str, bytes]) -> None:
        """Keep files by their SHA-256.

        Raises:
            StoreUnwritable: One could not be written.
        """
        try:
            self._keep(blobs)
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def _keep(self, blobs: Mapping[str, bytes]) -> None:
        for digest, data in blobs.items():
            if not self._file(digest).exists():
                whole_file.write(self._file(digest), [data])

    def load(self, digest: str) -> bytes:
        """A file by hash.

        Raises:
            NotFound: It was never kept here.
        """
        try:
            return self._file(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(digest[:12], kind="kept file of code") from None

    def _file(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
