"""Which classes of the project a class inherits from, as far as the source tells."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec

from rhdesk.code.closure import base_of, module_files, package_of
from rhdesk.code.sources import find, parse_file

_BRING_NOTHING = {"object", "ABC", "Generic", "Protocol"}


class Ancestry(msgspec.Struct, frozen=True):
    """The classes a class inherits from."""

    bases: tuple[ast.ClassDef, ...] = ()
    """Nearest first."""
    is_whole: bool = True
    """Whether these are all: False when one is a package's, whose source is not read here."""


def own_ancestry(node: ast.ClassDef) -> Ancestry:
    """What the class says without its file."""
    return Ancestry(is_whole=not _named_bases(node) and not _is_made_otherwise(node))


def ancestry_of(root: Path, file: Path, node: ast.ClassDef) -> Ancestry:
    """The ancestry of a class in *file* of the project at *root*.

    Raises:
        BadFunction: A file on the way is not Python.
    """
    project = _Project(root)
    found: list[ast.ClassDef] = []
    is_whole = True
    waiting = [(file, node)]
    while waiting:
        place, cls = waiting.pop(0)
        is_whole = is_whole and not _is_made_otherwise(cls)
        for base in _named_bases(cls):
            met = project.meet(place, base)
            if met is None:
                is_whole = False
            elif met[1] not in found:
                found.append(met[1])
                waiting.append(met)
    return Ancestry(tuple(found), is_whole)


class _Project:
    """Finds classes by the name a file has for them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._trees: dict[Path, ast.Module] = {}

    def meet(self, file: Path, name: str, hops: int = 8) -> tuple[Path, ast.ClassDef] | None:
        tree = self._tree(file)
        if isinstance(found := find(tree, name), ast.ClassDef):
            return file, found
        first, _, rest = name.partition(".")
        origin = self._origin(file, tree, first)
        if origin is None or not hops:
            return None
        path = [*origin, *(rest.split(".") if rest else [])]
        for cut in range(len(path) - 1, 0, -1):
            for place in module_files(self._root, path[:cut]):
                if place.is_file():
                    return self.meet(place, ".".join(path[cut:]), hops - 1)
        return None

    def _tree(self, file: Path) -> ast.Module:
        if file not in self._trees:
            self._trees[file] = parse_file(file)
        return self._trees[file]

    def _origin(self, file: Path, tree: ast.Module, name: str) -> list[str] | None:
        """What a name of the file was imported from, as a dotted path."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname == name:
                        return alias.name.split(".")
                    if alias.asname is None and alias.name.partition(".")[0] == name:
                        return [name]
            elif isinstance(node, ast.ImportFrom):
                base = base_of(node, package_of(self._root, file))
                for alias in node.names:
                    if base is not None and (alias.asname or alias.name) == name:
                        return [*base, alias.name]
        return None


def _named_bases(cls: ast.ClassDef) -> list[str]:
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in cls.bases]
    names = [ast.unparse(base) for base in plain]
    return [name for name in names if name.rpartition(".")[2] not in _BRING_NOTHING]


def _is_made_otherwise(cls: ast.ClassDef) -> bool:
    """Whether a metaclass may have a say in how it is made."""
    return any(ast.unparse(each.value).rpartition(".")[2] != "ABCMeta" for each in cls.keywords)
