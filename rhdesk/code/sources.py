"""Where the code of a function or class is: in a project's files, in a package, or nowhere but here."""

from __future__ import annotations

import ast
import difflib
import inspect
import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from rhdesk.errors import BadFunction


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a callable is found."""

    kind: str
    """``source``: in a project's file. ``installed``: in a package the far side must have.
    ``value``: nowhere it could be imported from; it travels as a pickle."""
    module: str = ""
    qualname: str = ""
    root: Path | None = None
    """The folder of the project's top-level modules; None when no file travels."""
    file: Path | None = None


def locate(target: Callable[..., Any] | type) -> Source:
    """Where a live function or class is.

    What lives in ``__main__``, a notebook, a shell or inside another function cannot be imported
    elsewhere and travels by value; the project's modules it uses still travel as files.

    Raises:
        BadFunction: It is not a function or class.
    """
    if not (inspect.isroutine(target) or inspect.isclass(target)):
        raise BadFunction(
            f"{target!r} is a {type(target).__name__}; give a function or a class, "
            "or a lambda around it"
        )
    module, qualname = str(target.__module__ or ""), target.__qualname__
    file = _file_of(module)
    importable = module not in {"", "__main__", "__mp_main__"} and not set("<>") & set(qualname)
    if not importable:
        root = file.parent if file is not None else None
        return Source(kind="value", module=module, qualname=qualname, root=root, file=file)
    if file is None or _is_installed(file):
        return Source(kind="installed", module=module, qualname=qualname)
    return Source(
        kind="source", module=module, qualname=qualname, root=_root(file, module), file=file
    )


def is_spec(target: str) -> bool:
    """Whether *target* spells a function in a file, ``app.py:train``, rather than a saved name."""
    place, colon, attribute = target.rpartition(":")
    return bool(colon and place and attribute) and not place.startswith(("~", "@", "^"))


def parse_spec(spec: str) -> tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Find ``app.py:train`` or ``package.module:train``; nothing is imported.

    Raises:
        BadFunction: No such file, a syntax error in it, or nothing in it by that name.
    """
    place, _, qualname = spec.rpartition(":")
    file = _spec_file(place)
    tree = parse_file(file)
    node = _find(tree, qualname)
    if node is None:
        names = sorted(found.name for found in _definitions(tree))
        near = difflib.get_close_matches(qualname, names, 3)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"it has {', '.join(names) or 'none'}"
        )
        raise BadFunction(f"{file.name} has no function or class {qualname!r}; {hint}")
    root = file.parent
    parts = [file.stem] if file.stem != "__init__" else []
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    source = Source(kind="source", module=".".join(parts), qualname=qualname, root=root, file=file)
    return source, node


def parse_file(file: Path) -> ast.Module:
    """The syntax tree of *file*.

    Raises:
        BadFunction: It cannot be read or is not Python; the message shows the place.
    """
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as exc:
        line = (exc.text or "").rstrip("\n")
        caret = " " * max(0, (exc.offset or 1) - 1) + "^"
        raise BadFunction(f"{file}, line {exc.lineno}: {exc.msg}\n  {line}\n  {caret}") from exc
    except (OSError, ValueError) as exc:
        raise BadFunction(f"{file} cannot be read: {exc}") from exc


def _find(
    tree: ast.Module, qualname: str
) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None:
    first, *rest = qualname.split(".")
    found = next((each for each in reversed(_definitions(tree)) if each.name == first), None)
    for part in rest:
        inner = [n for n in ast.iter_child_nodes(found)] if found is not None else []
        found = next(
            (
                each
                for each in inner
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and each.name == part
            ),
            None,
        )
    return found


def _definitions(
    tree: ast.Module,
) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Definitions at the top of a module, those under ``if`` and ``try`` too."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(each)
        elif isinstance(each, ast.If | ast.Try | ast.With):
            waiting = [
                *[n for n in ast.iter_child_nodes(each) if isinstance(n, ast.stmt)],
                *waiting,
            ]
    return found


def _spec_file(place: str) -> Path:
    file = Path(place).expanduser()
    candidates = [file] if place.endswith(".py") else []
    if not candidates:
        dotted = Path(*place.split("."))
        candidates = [dotted.with_suffix(".py"), dotted / "__init__.py", file]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    folder = candidates[0].parent
    names = [each.name for each in folder.glob("*.py")] if folder.is_dir() else []
    near = difflib.get_close_matches(candidates[0].name, names, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise BadFunction(
        f"there is no file {candidates[0]}{hint} (a function in a file looks like app.py:train)"
    )


def _file_of(module: str) -> Path | None:
    found = getattr(sys.modules.get(module), "__file__", None)
    return Path(found).resolve() if found and Path(found).is_file() else None


def _root(file: Path, module: str) -> Path:
    depth = module.count(".") + (1 if file.name == "__init__.py" else 0)
    return file.parents[depth]


def is_project_file(file: Path) -> bool:
    """Whether a module's file is the user's own, and not Python's or a package's."""
    return not _is_installed(file)


def _is_installed(file: Path) -> bool:
    text = str(file)
    if "/site-packages/" in text or "/dist-packages/" in text:
        return True
    if __package__ and file.is_relative_to(Path(__file__).parents[1]):
        return True
    places = [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *site.getsitepackages(),
    ]
    return any(place and file.is_relative_to(place) for place in places)
