"""Which files of a project a function needs: its module, and what that imports, and so on.

Followed in the source, so nothing runs. Imports of packages are not followed: the environment has
them. Imports under ``if TYPE_CHECKING`` are not needed to run. What a link leads to outside the
project is not the project's, and stays here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from rhdesk.code.sources import parse_file


def closure(root: Path, start: Path) -> dict[str, Path]:
    """Files reached from *start* inside *root*: path in the tree to the file.

    Raises:
        BadFunction: One of them is not Python; the message shows the place.
    """
    found: dict[str, Path] = {}
    root = root.resolve()
    waiting = [start.resolve()]
    while waiting:
        file = waiting.pop()
        if not file.is_relative_to(root) or not _is_inside(root, file):
            continue
        path = file.relative_to(root).as_posix()
        if path in found:
            continue
        found[path] = file
        waiting.extend(_packages_above(root, file))
        for module in _imported(parse_file(file), package_of(root, file)):
            waiting.extend(module_files(root, module))
    return found


def package_of(root: Path, file: Path) -> list[str]:
    """The package that a file's relative imports start from."""
    return list(file.parent.relative_to(root).parts)


def module_files(root: Path, module: Sequence[str]) -> Iterator[Path]:
    """Where a dotted module may be; of ``import a.b``, `closure` adds ``a/__init__.py``."""
    place = root.joinpath(*module)
    yield place / "__init__.py"
    if module:
        yield place.with_name(f"{place.name}.py")


def base_of(node: ast.ImportFrom, package: Sequence[str]) -> list[str] | None:
    """The module that ``from ... import`` takes from; None above the top of the project."""
    if node.level > len(package) + 1:
        return None
    above = list(package[: len(package) - node.level + 1]) if node.level else []
    return [*above, *(node.module.split(".") if node.module else [])]


def _is_inside(root: Path, file: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(root)


def _packages_above(root: Path, file: Path) -> Iterator[Path]:
    folder = file.parent
    while folder != root:
        yield folder / "__init__.py"
        folder = folder.parent


def _imported(tree: ast.Module, package: Sequence[str]) -> Iterator[list[str]]:
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            if (base := base_of(node, package)) is not None:
                yield base
                for alias in node.names:
                    yield [*base, *alias.name.split(".")]
        elif isinstance(node, ast.If):
            waiting.append(node.test)
            waiting.extend(_branches(node))
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _branches(node: ast.If) -> list[ast.stmt]:
    """What of an ``if`` can run."""
    test = ast.unparse(node.test).removeprefix("typing.").removeprefix("t.")
    if test == "TYPE_CHECKING":
        return node.orelse
    if test in {"not TYPE_CHECKING", "not typing.TYPE_CHECKING", "not t.TYPE_CHECKING"}:
        return node.body
    return [*node.body, *node.orelse]
