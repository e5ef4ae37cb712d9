"""Makes bundles: of a live function, of one in a file, of an instance; and of a saved record."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from rhdesk.code.ancestry import ancestry_of
from rhdesk.code.bundle import Bundle
from rhdesk.code.closure import closure
from rhdesk.code.signatures import methods_of, methods_of_ast, of_ast, of_callable
from rhdesk.code.sources import (
    Definition,
    Source,
    definition_of,
    is_project_file,
    is_spec,
    locate,
    parse_spec,
)
from rhdesk.errors import BadInput
from rhdesk.models import Record
from rhdesk.wire import pickles

__all__ = [
    "bundle_of",
    "bundle_of_instance",
    "bundle_of_spec",
    "bundle_record",
    "is_spec",
    "record_bundle",
    "root_of",
]

Blobs = dict[str, bytes]
"""Files and pickles by their SHA-256."""


def bundle_of(
    target: Callable[..., Any] | type | str, *, edited: bool = False
) -> tuple[Bundle, Blobs]:
    """A live function or class, or ``app.py:train``, made ready to travel.

    Args:
        edited: Its file was saved after it was imported: what the file says now is what counts.

    Raises:
        BadFunction: It is neither, or its code cannot be read.
        CannotSend: It travels by value, and refers to what cannot be pickled.
    """
    if isinstance(target, str):
        return bundle_of_spec(target)
    source = locate(target)
    if edited and source.kind == "source":
        return _bundle_of_node(source, definition_of(source))
    bundle = Bundle(
        kind="module" if isinstance(target, type) else "function",
        module=source.module,
        qualname=source.qualname,
        signature=of_callable(target),
        methods=methods_of(target) if isinstance(target, type) else {},
    )
    if source.kind != "value":
        return _with_tree(bundle, source)
    blob = pickles.dump_by_value(target, what=source.qualname)
    return _with_blob(*_with_tree(bundle, source), blob)


def bundle_of_spec(spec: str) -> tuple[Bundle, Blobs]:
    """``app.py:train``, read from its source; nothing is imported.

    Raises:
        BadFunction: No such file, a syntax error, or nothing in it by that name.
    """
    return _bundle_of_node(*parse_spec(spec))


def _bundle_of_node(source: Source, node: Definition) -> tuple[Bundle, Blobs]:
    bundle = Bundle(kind="function", module=source.module, qualname=source.qualname)
    if not isinstance(node, ast.ClassDef):
        return _with_tree(msgspec.structs.replace(bundle, signature=of_ast(node)), source)
    assert source.root is not None, "it is in a file"
    assert source.file is not None, "it is in a file"
    ancestry = ancestry_of(source.root, source.file, node)
    module = msgspec.structs.replace(
        bundle,
        kind="module",
        signature=of_ast(node, ancestry),
        methods=methods_of_ast(node, ancestry),
    )
    return _with_tree(module, source)


def root_of(target: Callable[..., Any] | type | str) -> Path | None:
    """The folder that paths in the bundle's tree are relative to."""
    source = parse_spec(target)[0] if isinstance(target, str) else locate(target)
    return source.root


def bundle_of_instance(instance: object, *, state: dict[str, Any]) -> tuple[Bundle, Blobs]:
    """An instance of a `Module` subclass, its *state* with it.

    Raises:
        CannotSend: The state holds what cannot be pickled.
    """
    cls = type(instance)
    source = locate(cls)
    plain = _Plain(cls, state)
    bundle = Bundle(
        kind="module",
        qualname=cls.__qualname__,
        methods=methods_of(cls),
        signature=of_callable(cls),
    )
    blob = pickles.dump_by_value(plain, what=f"the state of {cls.__qualname__}")
    return _with_blob(*_with_tree(bundle, source), blob)


class _Plain:
    """Becomes an instance of *cls* with *state* when it is called, on the far side."""

    def __init__(self, cls: type, state: dict[str, Any]) -> None:
        self._cls = cls
        self._state = state

    def __call__(self) -> Any:
        made: Any = object.__new__(self._cls)
        made.__dict__.update(self._state)
        return made


def bundle_record(name: str, bundle: Bundle, *, system: str, env: Any) -> Record:
    """What is saved of a bundle; readable by v0.0.12, and enough to call it again."""
    config = {
        "name": name,
        "resource_type": bundle.kind,
        "resource_subtype": bundle.kind.capitalize(),
        "system": system,
        "env": env or "base",
        "fn_pointers": ["", bundle.module, bundle.qualname],
        "code": {
            "module": bundle.module,
            "qualname": bundle.qualname,
            "tree": bundle.tree,
            "files": bundle.files,
            "blob": bundle.blob,
            **({"python": bundle.python} if bundle.python else {}),
        },
        "signature": msgspec.to_builtins(bundle.signature),
        "methods": msgspec.to_builtins(bundle.methods),
    }
    return Record(name=name, resource_type=bundle.kind, config=config)


def record_bundle(record: Record) -> Bundle:
    """The bundle a record was made of.

    Raises:
        BadInput: The record is of something that cannot be called.
    """
    code = record.config.get("code")
    if record.resource_type not in {"function", "module"} or not isinstance(code, dict):
        raise BadInput(f"{record.name} is a {record.resource_type}, which cannot be called")
    described = {
        "kind": record.resource_type,
        **code,
        "signature": record.config.get("signature", {}),
        "methods": record.config.get("methods", {}),
    }
    try:
        return msgspec.convert(described, Bundle)
    except msgspec.ValidationError as exc:
        raise BadInput(f"the record of {record.name} cannot be read: {exc}") from exc


def _with_tree(bundle: Bundle, source: Source) -> tuple[Bundle, Blobs]:
    if source.root is None:
        return bundle, {}
    paths = closure(source.root, source.file) if source.file is not None else {}
    if source.kind == "value":
        if source.file is not None:
            # Its own file came along by value; what it imports must be there to be imported.
            paths.pop(source.file.relative_to(source.root).as_posix(), None)
        paths |= _loaded_from(source.root)
    blobs: Blobs = {}
    files: dict[str, str] = {}
    for path, file in paths.items():
        data = file.read_bytes()
        files[path] = sha256(data).hexdigest()
        blobs[files[path]] = data
    if not files:
        return bundle, {}
    listing = "".join(f"{path}\0{files[path]}\n" for path in sorted(files))
    tree = sha256(listing.encode()).hexdigest()
    return msgspec.structs.replace(bundle, tree=tree, files=files), blobs


def _with_blob(bundle: Bundle, blobs: Blobs, blob: bytes) -> tuple[Bundle, Blobs]:
    digest = sha256(blob).hexdigest()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return msgspec.structs.replace(bundle, blob=digest, python=python), blobs | {digest: blob}


def _loaded_from(root: Path) -> dict[str, Path]:
    """The project's modules this process has imported, for code whose file cannot tell."""
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None)
        if not place or name in {"__main__", "__mp_main__"}:
            continue
        file = Path(place).resolve()
        if file.suffix == ".py" and file.is_relative_to(root) and is_project_file(file):
            path = file.relative_to(root)
            if path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__") == name:
                found[path.as_posix()] = file
    return found
