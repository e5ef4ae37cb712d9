"""Moves a worker process to the next code tree of the same project, in place.

Modules whose file changed are executed again in the module they are, and after them those that
took names from them. Everything else stays: other modules with their state, packages, instances.
A class whose source did not change stays the class it is, so that its instances stay instances.
Where something goes wrong everything is put back, and the process serves the tree before.
"""

from __future__ import annotations

import abc
import ast
import enum
import graphlib
import importlib
import importlib.util
import linecache
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from rhdesk.errors import BadFunction, RhdeskError

_PLAIN_METACLASSES: Final = (type, abc.ABCMeta, enum.EnumMeta)
_KEPT_NAMES: Final = frozenset(
    {"__name__", "__package__", "__builtins__", "__loader__", "__spec__", "__path__"}
)


class CannotMove(RhdeskError):
    """A tree whose changes cannot be taken in place: a fresh process takes them."""

    code = "cannot_move"


def move(old: str, new: str, then: Callable[[], object]) -> list[str]:
    """Have this process serve the tree *new* instead of *old*; the modules executed again.

    Args:
        then: Done last; where it raises, everything is put back as well.

    Raises:
        CannotMove: Only a fresh process can. Nothing has changed.
        BadFunction: A module cannot be compiled or executed. Nothing has changed.
    """
    loaded = dict(_loaded_from(old))
    changed = _changed(loaded, old, new)
    again = _in_order(changed, loaded, new)
    for name in again:
        _check_movable(sys.modules[name])
    compiled = {name: _compiled(Path(new, loaded[name]), new) for name in again}
    before = {name: dict(vars(sys.modules[name])) for name in loaded}
    known, path, folder = dict(sys.modules), list(sys.path), os.getcwd()
    try:
        sys.path[:] = [new if place == old else place for place in sys.path]
        if folder == old:
            os.chdir(new)
        importlib.invalidate_caches()
        for name, file in loaded.items():
            _place(sys.modules[name], Path(new, file))
        for name in again:
            _execute(sys.modules[name], compiled[name], Path(old, loaded[name]), new)
        then()
    except BaseException:
        for name, kept in before.items():
            vars(known[name]).clear()
            vars(known[name]).update(kept)
        for name in sys.modules.keys() - known.keys():
            if _is_inside(getattr(sys.modules[name], "__file__", None), new):
                del sys.modules[name]
        sys.path[:] = path
        os.chdir(folder)
        importlib.invalidate_caches()
        raise
    linecache.checkcache()
    return again


def _loaded_from(tree: str) -> Iterator[tuple[str, str]]:
    """Modules of *tree* in this process: name and file, relative to it."""
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None)
        if _is_inside(place, tree) and name not in {"__main__", "__mp_main__"}:
            yield name, os.path.relpath(str(place), tree)


def _is_inside(place: object, tree: str) -> bool:
    return isinstance(place, str) and place.startswith(tree + os.sep)


def _changed(loaded: Mapping[str, str], old: str, new: str) -> set[str]:
    changed: set[str] = set()
    for name, file in loaded.items():
        before, after = Path(old, file), Path(new, file)
        if not after.is_file():
            raise CannotMove(f"{file} is gone, and {name} is imported")
        if _is_same(before, after):
            continue
        if after.suffix != ".py":
            raise CannotMove(f"{file} is compiled, and changed")
        changed.add(name)
    return changed


def _is_same(one: Path, other: Path) -> bool:
    # Files of two trees that are equal are one file by two names, so this reads next to nothing.
    return one.samefile(other) or one.read_bytes() == other.read_bytes()


def _check_movable(module: ModuleType) -> None:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and type(value) not in _PLAIN_METACLASSES
        ):
            raise CannotMove(
                f"{value.__qualname__} is made by {type(value).__qualname__}, which may remember it"
            )


# ---- what is executed again, and in which order


def _in_order(changed: set[str], loaded: Mapping[str, str], new: str) -> list[str]:
    """*changed* and what took names from them, the taken from first."""
    affected = set(changed)
    takes: dict[str, set[str]] = {name: set() for name in affected}
    last = {name.rpartition(".")[2] for name in changed}
    sources = {
        name: text
        for name, file in loaded.items()
        if file.endswith(".py")
        and (text := Path(new, file).read_text("utf-8", "replace"))
        and (name in changed or any(each in text for each in last) or "import *" in text)
    }
    needs = {name: _taken(name, text, loaded) for name, text in sources.items()}
    grown = True
    while grown:
        grown = False
        last = {name.rpartition(".")[2] for name in affected}
        for name, file in loaded.items():
            if name not in needs and file.endswith(".py"):
                text = Path(new, file).read_text("utf-8", "replace")
                if any(each in text for each in last):
                    needs[name] = _taken(name, text, loaded)
            if name not in affected and needs.get(name, set()) & affected:
                affected.add(name)
                grown = True
    takes = {name: (needs.get(name, set()) & affected) - {name} for name in affected}
    try:
        return list(graphlib.TopologicalSorter(takes).static_order())
    except graphlib.CycleError:
        # They import each other: as they were imported the first time, the innermost first.
        return [name for name in reversed(list(loaded)) if name in affected]


def _taken(name: str, text: str, loaded: Mapping[str, str]) -> set[str]:
    """Modules of the project whose values *name* takes while it is executed."""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # said when it is compiled, with the place
        return set()
    is_package = loaded[name].endswith("__init__.py")
    package = name if is_package else name.rpartition(".")[0]
    found: set[str] = set()
    by_alias: dict[str, set[str]] = {}
    used: set[str] = set()
    for node in _at_import(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                by_alias.setdefault(bound, set()).add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *([node.module or ""])]).strip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in loaded:
                    by_alias.setdefault(alias.asname or alias.name, set()).add(inner)
                else:
                    found.add(base)
        elif isinstance(node, ast.Name):
            used.add(node.id)
    for alias_name in used & by_alias.keys():
        found |= by_alias[alias_name]
    return found & loaded.keys()


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module does: not the bodies of functions."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            waiting += [*node.decorator_list, *arguments.defaults]
            waiting += [each for each in arguments.kw_defaults if each is not None]
        elif isinstance(node, ast.Lambda):
            waiting += node.args.defaults
        else:
            waiting += ast.iter_child_nodes(node)


# ---- executing again


def _compiled(file: Path, tree: str) -> CodeType:
    try:
        return compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None) or 1
        where = file.relative_to(tree).as_posix()
        raise BadFunction(f"{where}:{line}: {type(exc).__name__}: {exc}") from exc


def _place(module: ModuleType, file: Path) -> None:
    """Have *module* say that it is from *file*."""
    folders = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        module.__name__, file, submodule_search_locations=folders
    )
    module.__file__ = str(file)
    module.__spec__ = spec
    if spec is not None:
        module.__loader__ = spec.loader
        module.__dict__["__cached__"] = spec.cached
    if folders is not None:
        module.__path__ = folders


def _execute(module: ModuleType, code: CodeType, before: Path, tree: str) -> None:
    names = vars(module)
    old = dict(names)
    keep = {
        key: value
        for key, value in old.items()
        if key in _KEPT_NAMES or key in {"__file__", "__cached__"} or _is_submodule(module, value)
    }
    names.clear()
    names.update(keep)
    try:
        exec(code, names)
    except BaseException as exc:
        if not isinstance(exc, Exception | SystemExit):
            raise
        raise BadFunction(f"{_place_of(exc, tree)}: {type(exc).__name__}: {exc}") from exc
    _keep_classes(names, old, before, Path(str(module.__file__)))


def _is_submodule(module: ModuleType, value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__.rpartition(".")[0] == module.__name__


def _place_of(exc: BaseException, tree: str) -> str:
    """The last line of the project that led to *exc*: ``model.py:12``."""
    found, frames = "the project", exc.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if _is_inside(file, tree):
            found = f"{os.path.relpath(file, tree)}:{frames.tb_lineno}"
        frames = frames.tb_next
    return found


def _keep_classes(names: dict[str, Any], old: dict[str, Any], before: Path, after: Path) -> None:
    """Classes that did not change stay the objects they are."""
    was, now = _classes(before), _classes(after)
    replaced: dict[type, type] = {}
    for name in now:
        mine, fresh = old.get(name), names.get(name)
        if not (isinstance(mine, type) and isinstance(fresh, type)) or was.get(name) != now[name]:
            continue
        bases = tuple(replaced.get(base, base) for base in fresh.__bases__)
        if bases != mine.__bases__ or mine is fresh:
            continue
        names[name] = mine
        replaced[fresh] = mine
        _take_lines(mine, fresh)


def _classes(file: Path) -> dict[str, str]:
    """Classes at the top of a file, in its order, and what tells whether they are the same."""
    body = ast.parse(file.read_bytes()).body
    return {node.name: ast.dump(node) for node in body if isinstance(node, ast.ClassDef)}


def _take_lines(mine: type, fresh: type) -> None:
    """The same code, at the lines where it stands now: tracebacks show it."""
    for name, value in vars(fresh).items():
        for there, here in zip(_functions(value), _functions(vars(mine).get(name)), strict=False):
            if there.__code__.co_freevars == here.__code__.co_freevars:
                here.__code__ = there.__code__
                here.__defaults__ = there.__defaults__
                here.__kwdefaults__ = there.__kwdefaults__


def _functions(value: object) -> Iterable[FunctionType]:
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    parts = (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value,)
    return [part for part in parts if isinstance(part, FunctionType)]
