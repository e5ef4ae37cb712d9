"""Code on the cluster: files by hash, trees of them, and the definitions that point into them.

A tree is complete or it is not there: it is put together beside and renamed. Files of a tree are
hard links to the files by hash, so that ten trees that differ in one file cost one file more.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath

from rhdesk import whole_file
from rhdesk.errors import BadInput, CannotSend, NotFound
from rhdesk.wire.messages import Definition, pack, unpack
from rhdesk_servlet.channel import Entry


class CodeFolder:
    """What was sent to this cluster; every env servlet of the node shares it."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._trees = folder / "trees"
        self._definitions = folder / "definitions"
        self._known: dict[str, Entry] = {}

    def missing(self, hashes: list[str]) -> list[str]:
        return [found for found in hashes if not self._file(found).exists()]

    def put(self, tree: str, files: Mapping[str, str], blobs: Mapping[str, bytes]) -> None:
        """Store *blobs* by hash and put *tree* together.

        Raises:
            BadInput: A path leads out of the tree, a blob is not what its hash says, or the tree
                is not the one its hash names.
        """
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        for digest, blob in blobs.items():
            if sha256(blob).hexdigest() != digest:
                raise BadInput(f"a file of code arrived changed: {digest[:12]}")
            _write(self._file(digest), blob)
        if not tree or self.path(tree).exists():
            return
        listing = "".join(f"{path}\0{files[path]}\n" for path in sorted(files))
        if sha256(listing.encode()).hexdigest() != tree:
            raise BadInput(f"a code tree is not the one its name says: {tree[:12]}")
        beside = self._trees / f".{secrets.token_hex(8)}"
        beside.mkdir(mode=0o700, parents=True)
        try:
            for path, digest in files.items():
                place = beside / _inside(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(self._file(digest), place)
                except FileNotFoundError:
                    raise BadInput(f"the code tree lacks {path}") from None
            try:
                beside.rename(self.path(tree))
            except OSError:
                if not self.path(tree).exists():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def path(self, tree: str) -> Path:
        return self._trees / tree

    def define(self, definition: Definition, blob: bytes) -> str:
        """Make a function or class callable; returns its hash.

        Raises:
            BadInput: The tree it names is not whole here, or *blob* is not what it says.
            CannotSend: *blob* is of another Python than runs here.
        """
        if definition.tree and not self.path(definition.tree).exists():
            raise BadInput(
                f"the code tree {definition.tree[:12]} of {definition.name} is not here"
            )
        if definition.blob:
            _check_python(definition)
            if sha256(blob).hexdigest() != definition.blob:
                raise BadInput(f"the pickle of {definition.name} arrived changed")
            _write(self._file(definition.blob), blob)
        data = pack(definition)
        digest = sha256(data).hexdigest()
        _write(self._definitions / digest, data)
        return digest

    def entry(self, digest: str) -> Entry:
        """Where the callable of a definition is.

        Raises:
            NotFound: No such definition; the caller sends it and asks again.
        """
        if (known := self._known.get(digest)) is not None:
            return known
        try:
            definition = unpack((self._definitions / digest).read_bytes(), Definition)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(digest, kind="definition") from None
        if definition.tree and not self.path(definition.tree).exists():
            raise NotFound(digest, kind="definition")
        entry = Entry(
            name=definition.name,
            kind=definition.kind,
            tree=str(self.path(definition.tree)) if definition.tree else "",
            module=definition.module,
            qualname=definition.qualname,
            blob=str(self._file(definition.blob)) if definition.blob else "",
        )
        self._known[digest] = entry
        return entry

    def _file(self, digest: str) -> Path:
        if not digest.isalnum():
            raise BadInput(f"{digest!r} is not a hash")
        return self._files / digest


def _check_python(definition: Definition) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if definition.python and definition.python != here:
        raise CannotSend(
            f"{definition.name} travels by value, as bytecode of Python {definition.python}, and "
            f"this environment runs Python {here}, which cannot read it. Put it into a file of "
            "your project and import it from there: source travels to any Python"
        )


def _write(file: Path, data: bytes) -> None:
    if not file.exists():
        whole_file.write(file, [data])


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise BadInput(f"{path!r} leads out of the code tree")
    return path
