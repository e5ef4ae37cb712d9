"""Where the code of a function or class is: in a project's files, in a package, or nowhere but here."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import site
import sys
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk.errors import BadFunction

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITION: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_MAIN: Final = {"", "__main__", "__mp_main__"}
_EXAMPLE: Final = "a function in a file looks like app.py:train"


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

    What lives in ``__main__``, a notebook, a shell or inside another function, and a method bound
    to an instance, cannot be imported elsewhere and travels by value; the project's modules it
    uses still travel as files.

    Raises:
        BadFunction: It is not a function or class, or its module cannot be imported by its name.
    """
    module, qualname = _address(target)
    importable = _is_importable(target, module, qualname)
    if not (importable or inspect.isroutine(target) or inspect.isclass(target)):
        raise BadFunction(
            f"{_shown(target)}; give a function or a class, or a lambda around the call"
        )
    file = _file_of(module)
    if not importable:
        if file is not None and _is_installed(file):
            # A package made it, as a decorator would; what it holds may be the project's.
            file = None
        root = _root(file, _spec_name(module)) if file is not None else _folder_of_program()
        return Source(kind="value", module=module, qualname=qualname, root=root, file=file)
    if file is None or _is_installed(file):
        return Source(kind="installed", module=module, qualname=qualname)
    root = _root(file, module)
    if root is None:
        raise BadFunction(
            f"{qualname} is in {file}, which was loaded as the module {module!r}; no import finds "
            f"it by that name elsewhere. Import it as {file.stem}"
        )
    return Source(kind="source", module=module, qualname=qualname, root=root, file=file)


def is_spec(target: str) -> bool:
    """Whether *target* spells a function in a file, ``app.py:train``, rather than a saved name."""
    place, colon, attribute = target.rpartition(":")
    return bool(colon and place and attribute) and not place.startswith(("~", "@", "^"))


def parse_spec(spec: str) -> tuple[Source, Definition]:
    """Find ``app.py:train`` or ``package.module:train``; nothing is imported.

    Raises:
        BadFunction: No such file, a syntax error in it, or nothing in it by that name.
    """
    place, _, qualname = spec.rpartition(":")
    file, dotted = _spec_file(place)
    tree = parse_file(file)
    node = find(tree, qualname)
    if node is None:
        raise BadFunction(_not_there(file, tree, qualname))
    root = file.parent
    parts = [file.stem] if file.stem != "__init__" else []
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    # A dotted name may lead through folders without __init__.py; they are packages all the same.
    if len(dotted) > len(parts) and (named := _root(file, ".".join(dotted))) is not None:
        parts, root = dotted, named
    if wrong := [part for part in parts if "." in part]:
        raise BadFunction(f"{file} cannot be imported: rename {wrong[0]!r} so that it has no dot")
    source = Source(kind="source", module=".".join(parts), qualname=qualname, root=root, file=file)
    return source, node


def definition_of(source: Source) -> Definition:
    """What the file of *source* says now, whatever this process imported before.

    Raises:
        BadFunction: The file is gone or no Python, or has nothing by that name any more.
    """
    assert source.file is not None, "only what is in a file"
    tree = parse_file(source.file)
    if (node := find(tree, source.qualname)) is None:
        raise BadFunction(_not_there(source.file, tree, source.qualname))
    return node


def parse_file(file: Path) -> ast.Module:
    """The syntax tree of *file*.

    Raises:
        BadFunction: It cannot be read or is not Python; the message shows the place.
    """
    try:
        data = file.read_bytes()
        with warnings.catch_warnings():
            # "\d" in somebody's file is theirs to hear of when it runs.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(data, filename=str(file))
    except SyntaxError as exc:
        raise BadFunction(_broken(file, exc)) from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise BadFunction(f"{file} cannot be read: {reason}") from exc
    except (RecursionError, MemoryError) as exc:
        raise BadFunction(f"{file} is nested too deeply to be read as Python") from exc


def find(tree: ast.Module, qualname: str) -> Definition | None:
    """What a dotted name of a module names, if the module defines it."""
    scope: ast.Module | ast.ClassDef | None = tree
    found: Definition | None = None
    for part in qualname.split("."):
        inside = definitions(scope) if scope is not None else []
        # The last one of a name is the one that is left when the module has run.
        found = next((each for each in reversed(inside) if each.name == part), None)
        scope = found if isinstance(found, ast.ClassDef) else None
    return found


def definitions(body: ast.Module | ast.ClassDef) -> list[Definition]:
    """What a module or class defines, in order; under ``if``, ``try`` and ``with`` too."""
    found: list[Definition] = []
    waiting: list[ast.AST] = list(body.body)
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, _DEFINITION):
            found.append(each)
        elif isinstance(each, ast.If | ast.Try | ast.ExceptHandler | ast.With):
            waiting = [*ast.iter_child_nodes(each), *waiting]
    return found


def is_project_file(file: Path) -> bool:
    """Whether a module's file is the user's own, and not Python's or a package's."""
    return not _is_installed(file)


# ---------------------------------------------------------------- a live callable


def _address(target: Any) -> tuple[str, str]:
    """Module and dotted name; of a method bound to a class, those of that class."""
    owner = getattr(target, "__self__", None)
    if inspect.ismethod(target) and inspect.isclass(owner):
        return str(owner.__module__), f"{owner.__qualname__}.{target.__name__}"
    module = getattr(target, "__module__", None)
    if module is None and inspect.isclass(made_by := getattr(target, "__objclass__", None)):
        module = made_by.__module__
    name = getattr(target, "__qualname__", None) or getattr(target, "__name__", "")
    return str(module or ""), str(name)


def _is_importable(target: Any, module: str, qualname: str) -> bool:
    """Whether an import of the module finds this very object under its name."""
    found: Any = sys.modules.get(module)
    if module in _MAIN or found is None or not qualname or set("<>") & set(qualname):
        return False
    if inspect.ismethod(target) and not inspect.isclass(target.__self__):
        return False
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return found is not None and found is getattr(target, "__func__", target)


def _shown(target: object) -> str:
    kind = type(target).__qualname__
    if isinstance(target, functools.partial):
        return f"this is a functools.partial of {getattr(target.func, '__name__', target.func)}"
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return f"{target!r:.80} is {article} {kind}"


def _file_of(module: str) -> Path | None:
    """The Python file a module was read from."""
    found = getattr(sys.modules.get(module), "__file__", None)
    if not found or not str(found).endswith(".py"):
        return None
    file = Path(found).resolve()
    return file if file.is_file() else None


def _spec_name(module: str) -> str:
    """What the module would be called if it were imported; ``python -m app.main`` tells."""
    spec = getattr(sys.modules.get(module), "__spec__", None) if module in _MAIN else None
    return spec.name if spec is not None else module


def _folder_of_program() -> Path | None:
    """The folder whose modules a script, a shell or a notebook finds first."""
    script = _file_of("__main__")
    if script is None:
        here = Path.cwd()
        return here if {"", str(here)} & set(sys.path) else None
    return None if _is_installed(script) else _root(script, _spec_name("__main__"))


def _root(file: Path, module: str) -> Path | None:
    """The folder on the import path; None when the file is not where its module's name says."""
    if module in _MAIN:
        return file.parent
    parts = module.split(".")
    place = (
        [*parts, "__init__.py"] if file.name == "__init__.py" else [*parts[:-1], f"{parts[-1]}.py"]
    )
    if file.parts[-len(place) :] != tuple(place):
        return None
    return file.parents[len(place) - 1]


def _is_installed(file: Path) -> bool:
    text = str(file)
    if "/site-packages/" in text or "/dist-packages/" in text:
        return True
    if file.is_relative_to(Path(__file__).parents[1]):
        return True
    places = [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *site.getsitepackages(),
    ]
    return any(place and file.is_relative_to(place) for place in places)


# ---------------------------------------------------------------- a function in a file


def _spec_file(place: str) -> tuple[Path, list[str]]:
    """The file, and the dotted name when it was spelled as one."""
    file = Path(place).expanduser()
    dotted = place.split(".")
    spelled_dotted = not place.endswith(".py") and all(part.isidentifier() for part in dotted)
    candidates = [file]
    if spelled_dotted:
        module = Path(*dotted)
        candidates = [module.with_suffix(".py"), module / "__init__.py", file]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve(), dotted if spelled_dotted else []
    if file.is_dir():
        raise BadFunction(f"{place} is a folder; {_EXAMPLE}")
    folder = candidates[0].parent
    names = [each.name for each in folder.glob("*.py")] if folder.is_dir() else []
    near = difflib.get_close_matches(candidates[0].name, names, 3)
    hint = f"; did you mean {' or '.join(str(folder / name) for name in near)}?" if near else ""
    raise BadFunction(f"there is no file {candidates[0]}{hint} ({_EXAMPLE})")


def _not_there(file: Path, tree: ast.Module, qualname: str) -> str:
    said = f"{file.name} has no function or class {qualname!r}"
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom() if qualname in {a.asname or a.name for a in node.names}:
                return f"{said}; it is imported there from {'.' * node.level}{node.module or ''}"
            case ast.Assign() if qualname in {ast.unparse(each) for each in node.targets}:
                return f"{said}; line {node.lineno} assigns it; give what def or class makes"
            case _:
                pass
    names = sorted(_names(tree))
    near = difflib.get_close_matches(qualname, names, 3)
    if near:
        return f"{said}; did you mean {' or '.join(near)}?"
    return f"{said}; it has {', '.join(name for name in names if '.' not in name) or 'none'}"


def _names(body: ast.Module | ast.ClassDef, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for each in definitions(body):
        found.add(f"{prefix}{each.name}")
        if isinstance(each, ast.ClassDef):
            found |= _names(each, f"{prefix}{each.name}.")
    return found


def _broken(file: Path, exc: SyntaxError) -> str:
    said = f"{file}, line {exc.lineno}: {exc.msg}" if exc.lineno else f"{file}: {exc.msg}"
    line = (exc.text or "").rstrip("\n")
    if not line:
        return said
    before = line[: max(0, (exc.offset or 1) - 1)]
    return f"{said}\n  {line}\n  {''.join(c if c == chr(9) else ' ' for c in before)}^"
