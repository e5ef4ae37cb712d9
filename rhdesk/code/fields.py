"""The fields of a dataclass, read from its source: what its constructor takes."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import msgspec

from rhdesk.code.annotations import spelled_in


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field that its constructor takes."""

    name: str
    annotation: ast.expr
    default: ast.expr | None
    is_made: bool
    """Whether a factory makes its default."""
    is_named_only: bool


def fields_of(ancestry: Sequence[ast.ClassDef]) -> list[Field]:
    """Fields of a class and the classes it inherits from, nearest first, as parameters in order.

    Empty when the class is no dataclass, or writes its constructor itself.
    """
    options = _options(ancestry[0])
    if options is None or options.get("init") is False:
        return []
    found: dict[str, Field | None] = {}
    for cls in reversed(ancestry):
        options = _options(cls)
        if options is None:
            continue
        named_only = options.get("kw_only") is True
        for each in cls.body:
            if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
                continue
            annotation = spelled_in(each.annotation)
            if annotation == "KW_ONLY":
                named_only = True
            elif annotation.partition("[")[0] != "ClassVar":
                found[each.target.id] = _field(each.target.id, each, named_only)
    return sorted(
        (field for field in found.values() if field is not None),
        key=lambda field: field.is_named_only,
    )


def _field(name: str, statement: ast.AnnAssign, named_only: bool) -> Field | None:
    asked = _call(statement.value, "field")
    options = _values(asked) if asked is not None else {}
    if options.get("init") is False:
        return None
    given = {each.arg: each.value for each in asked.keywords} if asked is not None else {}
    default = statement.value if asked is None else given.get("default")
    return Field(
        name=name,
        annotation=statement.annotation,
        default=default,
        is_made="default_factory" in given,
        is_named_only=bool(options.get("kw_only", named_only)),
    )


def _options(cls: ast.ClassDef) -> dict[str, object] | None:
    """What ``@dataclass`` was given; None when the class has no such mark."""
    for mark in cls.decorator_list:
        if ast.unparse(mark).rpartition(".")[2] == "dataclass":
            return {}
        if (call := _call(mark, "dataclass")) is not None:
            return _values(call)
    return None


def _call(node: ast.expr | None, name: str) -> ast.Call | None:
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
        return node
    return None


def _values(call: ast.Call) -> dict[str, object]:
    return {
        each.arg: each.value.value
        for each in call.keywords
        if each.arg is not None and isinstance(each.value, ast.Constant)
    }
