"""What an annotation says, in one spelling whether it was met as an object or in the source.

``typing.Optional[np.ndarray]`` and ``None | numpy.ndarray`` are both ``ndarray | None``: where a
name was imported from, the running program and the source tell differently. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import enum
import inspect
import math
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

_NO_CODE: Final = (
    (re.compile(r"<class '([^']*)'>|<([\w.]+): [^<>]*>"), r"\1\2"),
    (re.compile(r"\b[\w.]*<locals>\."), ""),
    (re.compile(r" at 0x[0-9a-fA-F]+"), ""),
)
"""What a `repr` of a type may hold that is not Python: classes, enum members, addresses."""
_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TEXT: Final = {"str", "Path", "PurePath", "PosixPath", "PathLike", "LiteralString"}
_SCALARS: Final[dict[str, Any]] = {"int": int, "float": float, "bool": bool}
_CONTAINERS: Final[dict[str, Any]] = {
    "list": list, "List": list, "Sequence": list, "MutableSequence": list, "Iterable": list,
    "Collection": list, "tuple": tuple, "Tuple": tuple, "set": set, "Set": set,
    "MutableSet": set, "AbstractSet": set, "frozenset": frozenset, "FrozenSet": frozenset,
    "dict": dict, "Dict": dict, "Mapping": dict, "MutableMapping": dict,
}  # fmt: skip
_TYPES: Final[dict[str, Any]] = {
    **_SCALARS, **_CONTAINERS, "str": str, "Any": Any, "object": Any,
}  # fmt: skip
_EXAMPLES: Final[dict[Any, str]] = {
    int: "3", float: "0.3", str: '"a"', bool: "true", dict: '{"a": 1}',
}  # fmt: skip

# ---------------------------------------------------------------- spelling


def spelled(annotation: object) -> str:
    """A live annotation as text; empty when there is none."""
    if annotation is inspect.Signature.empty:
        return ""
    if isinstance(annotation, str):
        return _plain(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return spelled(typing.get_args(annotation)[0])
    text = inspect.formatannotation(annotation)
    if _parsed(text) is None:
        for pattern, stands_for in _NO_CODE:
            text = pattern.sub(stands_for, text)
    return _plain(text)


def spelled_in(node: ast.expr | None) -> str:
    """The same from the source."""
    return ast.unparse(_Plain().visit(node)) if node is not None else ""


def choices(annotation: object, *, names: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """The values of a ``Literal`` or an enumeration; empty when it is neither.

    Args:
        names: Where an annotation given as text finds its enumeration.
    """
    text = spelled(annotation)
    members = _members(text)
    found: list[Any] = []
    for member in members:
        if _is_none(member):
            found.append(None)
        elif isinstance(member, ast.Subscript) and ast.unparse(member.value) == "Literal":
            found.extend(_literals(member))
        elif (values := _enumerated(annotation, member, names or {})) is not None:
            found.extend(values)
        else:
            return ()
    return tuple(found) if any(not _is_none(member) for member in members) else ()


def held(value: object) -> Any:
    """*value* if JSON can hold it as it is; of an enumeration its value; else its `repr`."""
    if isinstance(value, enum.Enum):
        return held(value.value)
    return value if _is_json(value) else shown(value)


def shown(value: object) -> str:
    """*value* as a signature shows it; the same in every process, so addresses are left out."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return str(value.__name__)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


class _Plain(ast.NodeTransformer):
    """Drops module names, quotes around names, ``Annotated``; writes unions with ``|``."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return _named(node.attr)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _named(node.id)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        parsed = _parsed(node.value)
        return node if parsed is None else self.visit(parsed)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        is_reference = ast.unparse(node.func).endswith("ForwardRef") and node.args
        return self.visit(node.args[0]) if is_reference else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        # A type variable's repr says its variance: ~T, +T, -T.
        return self.visit(node.operand)  # type: ignore[no-any-return]

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return _union([self.visit(node.left), self.visit(node.right)])

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        head = (
            node.value.attr if isinstance(node.value, ast.Attribute) else ast.unparse(node.value)
        )
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if head == "Literal":
            return ast.Subscript(_named(head), node.slice, ast.Load())
        if head == "Annotated":
            return self.visit(inside[0])  # type: ignore[no-any-return]
        if head == "Optional":
            return _union([self.visit(node.slice), ast.Constant(None)])
        if head == "Union":
            return _union([self.visit(each) for each in inside])
        return ast.Subscript(self.visit(node.value), self.visit(node.slice), ast.Load())


def _named(name: str) -> ast.expr:
    return ast.Constant(None) if name == "NoneType" else ast.Name(name, ast.Load())


def _union(members: Sequence[ast.expr]) -> ast.expr:
    flat = {ast.unparse(each): each for member in members for each in _flat(member)}
    nothing = flat.pop("None", None)
    ordered = [*flat.values(), *([nothing] if nothing is not None else [])]
    made = ordered[0]
    for each in ordered[1:]:
        made = ast.BinOp(made, ast.BitOr(), each)
    return made


def _flat(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_flat(node.left), *_flat(node.right)]
    return [node]


def _plain(text: str) -> str:
    node = _parsed(text)
    return text if node is None else spelled_in(node)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _members(text: str) -> list[ast.expr]:
    """The members of a union; the one itself when it is none."""
    node = _parsed(text) if text else None
    return _flat(node) if node is not None else []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _literals(node: ast.Subscript) -> list[Any]:
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    found: list[Any] = []
    for each in inside:
        try:
            found.append(held(ast.literal_eval(each)))
        except ValueError:
            found.append(ast.unparse(each))
    return found


def _enumerated(
    annotation: object, member: ast.expr, names: Mapping[str, Any]
) -> list[Any] | None:
    name = ast.unparse(member)
    near = [annotation, *typing.get_args(annotation), names.get(name)]
    for cls in near:
        if inspect.isclass(cls) and issubclass(cls, enum.Enum) and cls.__name__ == name:
            return [held(each) for each in cls]
    return None


def _is_json(value: object) -> bool:
    # Exact types: a subclass may mean more than its JSON does.
    if type(value) is list:
        return all(_is_json(each) for each in value)
    if type(value) is dict:
        return all(type(k) is str and _is_json(v) for k, v in value.items())
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return -(2**63) <= value < 2**64
    if type(value) is str:
        return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
    return value is None or type(value) is bool


# ---------------------------------------------------------------- reading what was typed


def read(annotation: str, text: str) -> Any:
    """The value of an annotation, as `spelled`, that *text* stands for.

    Raises:
        ValueError: It stands for none; the message continues "x is ...".
    """
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError(f"not text in UTF-8: {text!r}")
    members = [each for each in _members(annotation) if not _is_none(each)]
    heads = [_head(member) for member in members]
    if text in {"None", "null"} and len(members) < len(_members(annotation)):
        return None
    for kind in ("int", "float", "bool"):
        if kind in heads and (found := _simple(kind, text)) is not None:
            return found
    why = ""
    for head, member in zip(heads, members, strict=True):
        if head in _CONTAINERS:
            try:
                return _decoded(member, text)
            except (msgspec.DecodeError, RecursionError) as exc:
                why = f": {exc}"
    if any(head in _TEXT for head in heads):
        return text
    if members and all(head in _CONTAINERS or head in _SCALARS for head in heads):
        example = " or ".join(_example(member) for member in members)
        raise ValueError(f"{annotation}, like {example}; {text!r} is not{why}")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _head(node: ast.expr) -> str:
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def _simple(kind: str, text: str) -> int | float | bool | None:
    try:
        if kind == "bool":
            return _WORDS.get(text.lower())
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return None


def _decoded(node: ast.expr, text: str) -> Any:
    try:
        return msgspec.json.decode(text, type=_type(node))
    except (LookupError, TypeError):
        # It holds what is no plain type, or a union msgspec does not tell apart: by its head.
        return msgspec.json.decode(text, type=_TYPES[_head(node)])


def _type(node: ast.expr) -> Any:
    """The type of an annotation made of plain types.

    Raises:
        LookupError: It names another.
    """
    if isinstance(node, ast.Constant) and node.value in {None, ...}:
        return node.value
    if isinstance(node, ast.BinOp):
        return typing.Union[_type(node.left), _type(node.right)]  # noqa: UP007 -- of values
    if not isinstance(node, ast.Subscript):
        return _TYPES[ast.unparse(node)]
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if ast.unparse(node.value) == "Literal":
        return typing.Literal[tuple(_literals(node))]
    return _TYPES[ast.unparse(node.value)][tuple(_type(each) for each in inside)]


def _example(node: ast.expr) -> str:
    made = _TYPES[_head(node)]
    if made is bool:
        return "true or false"
    if made in {list, tuple, set, frozenset}:
        inside = node.slice if isinstance(node, ast.Subscript) else ast.Name("int")
        first = inside.elts[0] if isinstance(inside, ast.Tuple) and inside.elts else inside
        item = _EXAMPLES.get(_TYPES.get(_head(first)), "1")
        return f"[{item}, {item}]"
    return _EXAMPLES[made]
