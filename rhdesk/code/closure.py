"""Which files of a project a function needs: its module, and what that imports, and so on.

Followed in the source, so nothing runs. Imports of packages are not followed: the environment has
them. Imports under ``if TYPE_CHECKING`` are not needed to run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from rhdesk.code.sources import parse_file


def closure(root: Path, start: Path) -> dict[str, Path]:
    """Files reached from *start* inside *root*: path in the tree to the file.

    Raises:
        BadFunction: One of them is not Python; the message shows the place.
    """
    found: dict[str, Path] = {}
    waiting = [start.resolve()]
    root = root.resolve()
    while waiting:
        file = waiting.pop()
        if not file.is_relative_to(root) or not file.is_file():
            continue
        path = file.relative_to(root).as_posix()
        if path in found:
            continue
        found[path] = file
        waiting.extend(_packages_above(root, file))
        package = _package(root, file)
        for module in _imported(parse_file(file), package):
            waiting.extend(_files(root, module))
    return found


def _packages_above(root: Path, file: Path) -> Iterator[Path]:
    folder = file.parent
    while folder != root:
        yield folder / "__init__.py"
        folder = folder.parent


def _package(root: Path, file: Path) -> list[str]:
    return list(file.parent.relative_to(root).parts)


def _files(root: Path, module: list[str]) -> Iterator[Path]:
    """Where a dotted module may be; the packages on its way come with it."""
    place = root.joinpath(*module)
    yield place.with_suffix(".py")
    yield place / "__init__.py"


def _imported(tree: ast.Module, package: list[str]) -> Iterator[list[str]]:
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = above + (node.module.split(".") if node.module else [])
            yield base
            for alias in node.names:
                yield [*base, *alias.name.split(".")]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))
