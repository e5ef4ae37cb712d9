"""What a callable takes: read from a live function or from its source, and held against arguments.

Reading the source imports nothing, so a form can be drawn for a function whose packages are not
installed here. Both readings of one function agree, except where only the running program knows:
the values of an enumeration, what a default computes to, docstrings that methods inherit.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from rhdesk.code.ancestry import Ancestry, own_ancestry
from rhdesk.code.annotations import choices, held, read, shown, spelled, spelled_in
from rhdesk.code.docstrings import told_of
from rhdesk.code.fields import Field, fields_of
from rhdesk.code.sources import definitions
from rhdesk.errors import BadInput
from rhdesk.models import Parameter, Signature

_KINDS: Final = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}
_PLACED: Final = {"positional_only", "positional_or_keyword"}
_VARIABLE: Final = {"var_positional", "var_keyword"}
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_MARKS: Final = {"var_positional": "*", "var_keyword": "**"}
_ATTRIBUTES: Final = {"property", "cached_property", "setter", "getter", "deleter"}
_OWN_PACKAGE: Final = __name__.partition(".")[0]
_EXAMPLES: Final = f"{_OWN_PACKAGE}.demo."
"""What stands there for a person's own code is a person's own."""

# ---------------------------------------------------------------- reading


def of_callable(fn: Callable[..., Any]) -> Signature:
    """The signature of a live function; of a class, that of its construction.

    What does not tell what it takes is said to take anything.
    """
    return _of_live(fn)


def methods_of(cls: type) -> dict[str, Signature]:
    """The public methods of a live class and of those it inherits from, without ``self``.

    Properties are attributes, and what `rhdesk.Module` brings is the handle's, not the user's.
    """
    found: dict[str, Signature] = {}
    for name, member in inspect.getmembers_static(cls):
        if name.startswith("_") or _is_ours(cls, name):
            continue
        if isinstance(member, staticmethod | classmethod):
            found[name] = _of_live(getattr(cls, name))
        elif inspect.isroutine(member) and callable(member):
            found[name] = _of_live(member, has_self=True)
    return found


def of_ast(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, ancestry: Ancestry | None = None
) -> Signature:
    """The same from the source; of a class, that of its construction.

    Args:
        node: A definition.
        ancestry: Of a class, what it inherits from.
    """
    if isinstance(node, ast.ClassDef):
        doc = _doc_in(node)
        return _made(_construction(node, doc, ancestry or own_ancestry(node)), doc)
    return _of_source(node)


def methods_of_ast(node: ast.ClassDef, ancestry: Ancestry | None = None) -> dict[str, Signature]:
    """The public methods of a class in the source and of its bases, without ``self``."""
    found: dict[str, Signature] = {}
    for cls in [*reversed(ancestry.bases if ancestry else ()), node]:
        for member in definitions(cls):
            marks = {ast.unparse(mark).rpartition(".")[2] for mark in member.decorator_list}
            if member.name.startswith("_"):
                continue
            if isinstance(member, ast.ClassDef) or marks & _ATTRIBUTES:
                found.pop(member.name, None)
            else:
                found[member.name] = _of_source(member, has_self="staticmethod" not in marks)
    return found


# ---------------------------------------------------------------- arguments


def read_arguments(
    signature: Signature, named: Mapping[str, Any], placed: Sequence[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Arguments as typed: text becomes what its parameter's annotation says.

    Raises:
        BadInput: A text does not spell a value of its parameter.
    """
    by_name = {p.name: p for p in signature.parameters if p.kind not in _VARIABLE}
    in_order = [p for p in signature.parameters if p.kind in _PLACED]
    more = next((p for p in signature.parameters if p.kind == "var_positional"), None)
    other = next((p for p in signature.parameters if p.kind == "var_keyword"), None)
    read_placed = [
        _read(in_order[place] if place < len(in_order) else more, value, f"value {place + 1}")
        for place, value in enumerate(placed)
    ]
    read_named = {
        name: _read(by_name.get(name, other), value, name) for name, value in named.items()
    }
    return read_named, read_placed


def bind(
    signature: Signature, named: Mapping[str, Any], placed: Sequence[Any], *, name: str
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments as the function will be given them, checked before anything is sent.

    Raises:
        BadInput: Too many, an unknown one, one given twice, or one missing.
    """
    in_order = [p for p in signature.parameters if p.kind in _PLACED]
    takes_more = any(p.kind == "var_positional" for p in signature.parameters)
    takes_any = any(p.kind == "var_keyword" for p in signature.parameters)
    takes = f"{name} takes {_listed(signature)}"
    if len(placed) > len(in_order) and not takes_more:
        raise BadInput(f"{takes}; {len(placed)} values were given by position")
    known = {p.name for p in signature.parameters if p.kind not in _VARIABLE}
    for given in named:
        if given not in known and not takes_any:
            near = difflib.get_close_matches(given, sorted(known), 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BadInput(f"{takes}; {given!r} is not one of them{hint}")
    for parameter in in_order[: len(placed)]:
        # Beside **kwargs the name of a positional-only parameter is free to be used again.
        is_free = takes_any and parameter.kind == "positional_only"
        if parameter.name in named and not is_free:
            raise BadInput(f"{takes}; {parameter.name} was given twice")
    args, kwargs = list(placed), dict(named)
    skipped = ""
    for parameter in in_order[len(placed) :]:
        if parameter.name not in kwargs:
            if parameter.required:
                raise BadInput(_missing(name, parameter, takes))
            skipped = skipped or parameter.name
        elif parameter.kind == "positional_only":
            if skipped:
                raise BadInput(
                    f"{takes}; {parameter.name} goes by position only, so give {skipped} too"
                )
            args.append(kwargs.pop(parameter.name))
    for parameter in signature.parameters:
        is_named_only = parameter.kind == "keyword_only"
        if is_named_only and parameter.required and parameter.name not in kwargs:
            raise BadInput(_missing(name, parameter, takes))
    return args, kwargs


def read_text(parameter: Parameter, text: str) -> Any:
    """What *text* means for *parameter*; without an annotation, JSON if it is, else itself.

    Raises:
        BadInput: Nothing; the message shows what a right one looks like.
    """
    if parameter.choices:
        chosen = {str(choice): choice for choice in parameter.choices}
        if text not in chosen:
            near = difflib.get_close_matches(text, chosen, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadInput(f"{parameter.name} is one of {', '.join(chosen)}, not {text!r}{hint}")
        return chosen[text]
    try:
        return read(parameter.annotation, text)
    except ValueError as exc:
        raise BadInput(f"{parameter.name} is {exc}") from exc


def _read(parameter: Parameter | None, value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    parameter = parameter or Parameter(name=name)
    if parameter.kind in _VARIABLE:
        parameter = msgspec.structs.replace(parameter, name=name)
    return read_text(parameter, value)


def _missing(name: str, parameter: Parameter, takes: str) -> str:
    kind = f" ({parameter.annotation})" if parameter.annotation else ""
    about = f": {parameter.doc}" if parameter.doc else ""
    return f"{name} needs {parameter.name}{kind}{about}; {takes}"


def _listed(signature: Signature) -> str:
    names = [
        _MARKS.get(p.kind, "")
        + p.name
        + ("" if p.required or p.kind in _VARIABLE else f"={p.default!r}")
        for p in signature.parameters
    ]
    return ", ".join(names) or "nothing"


# ---------------------------------------------------------------- a live callable


class _Seen(msgspec.Struct, frozen=True):
    """A parameter, and its default as the signature's text shows it."""

    parameter: Parameter
    default: str = ""


_ANYTHING: Final = (
    _Seen(Parameter(name="args", kind="var_positional", required=False)),
    _Seen(Parameter(name="kwargs", kind="var_keyword", required=False)),
)


def _of_live(fn: Callable[..., Any], *, has_self: bool = False) -> Signature:
    doc = _doc(fn)
    try:
        given = inspect.signature(fn)
    except (TypeError, ValueError):
        return _made(_ANYTHING, doc)
    told, function = told_of(doc), inspect.unwrap(fn)
    if inspect.isclass(fn):
        function = vars(fn).get("__init__", fn)
        told = told_of(inspect.getdoc(function) or "") | told if function is not fn else told
    names = getattr(function, "__globals__", {})
    seen = [_live(each, told, names) for each in given.parameters.values()]
    if inspect.isclass(fn):
        return _made(seen, doc)
    return _made(
        _without_self(seen) if has_self else seen,
        doc,
        returns=spelled(given.return_annotation),
        is_generator=inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
        is_async=inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
    )


def _live(each: inspect.Parameter, told: Mapping[str, str], names: Mapping[str, Any]) -> _Seen:
    kind = _KINDS[each.kind]
    has_default = each.default is not each.empty
    parameter = Parameter(
        name=each.name,
        kind=kind,
        annotation=spelled(each.annotation),
        required=not has_default and kind not in _VARIABLE,
        default=held(each.default) if has_default else None,
        choices=choices(each.annotation, names=names),
        doc=told.get(each.name, ""),
    )
    return _Seen(parameter, shown(each.default) if has_default else "")


def _doc(fn: Callable[..., Any]) -> str:
    """Its docstring; a class has only its own, and not what `dataclass` wrote for it."""
    if not inspect.isclass(fn):
        return inspect.getdoc(fn) or ""
    doc = vars(fn).get("__doc__")
    is_written = hasattr(fn, "__dataclass_fields__") and str(doc).startswith(f"{fn.__name__}(")
    return "" if is_written or not isinstance(doc, str) else inspect.cleandoc(doc)


def _is_ours(cls: type, name: str) -> bool:
    owner = next((each for each in cls.__mro__ if name in vars(each)), cls)
    package = owner.__module__
    return package.partition(".")[0] == _OWN_PACKAGE and not package.startswith(_EXAMPLES)


# ---------------------------------------------------------------- the source


def _of_source(
    node: ast.FunctionDef | ast.AsyncFunctionDef, *, has_self: bool = False
) -> Signature:
    doc = _doc_in(node)
    seen = _parameters(node.args, told_of(doc))
    return _made(
        _without_self(seen) if has_self else seen,
        doc,
        returns=spelled_in(node.returns),
        is_generator=_yields(node),
        is_async=isinstance(node, ast.AsyncFunctionDef),
    )


def _construction(node: ast.ClassDef, doc: str, ancestry: Ancestry) -> list[_Seen]:
    """What making an instance takes: of the nearest class that says so."""
    classes = [node, *ancestry.bases]
    for place, cls in enumerate(classes):
        members = {each.name: each for each in definitions(cls) if isinstance(each, _FUNCTION)}
        if made := members.get("__init__") or members.get("__new__"):
            told = told_of(_doc_in(made)) | told_of(doc)
            return _without_self(_parameters(made.args, told))
        if fields := fields_of(classes[place:]):
            return [_field(each, told_of(doc)) for each in fields]
    return [] if ancestry.is_whole else [*_ANYTHING]


def _field(field: Field, told: Mapping[str, str]) -> _Seen:
    kind = "keyword_only" if field.is_named_only else "positional_or_keyword"
    arg = ast.arg(field.name, field.annotation)
    if not field.is_made:
        return _in_source(arg, field.default, kind, told)
    seen = _in_source(arg, ast.Constant(None), kind, told)
    # As `dataclass` shows a default that is made anew each time.
    return _Seen(msgspec.structs.replace(seen.parameter, default="<factory>"), "<factory>")


def _parameters(args: ast.arguments, told: Mapping[str, str]) -> list[_Seen]:
    placed = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(placed) - len(args.defaults))
    defaults += args.defaults
    found: list[_Seen] = []
    for each, default in zip(placed, defaults, strict=True):
        kind = "positional_only" if each in args.posonlyargs else "positional_or_keyword"
        found.append(_in_source(each, default, kind, told))
    if args.vararg:
        found.append(_in_source(args.vararg, None, "var_positional", told))
    for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found.append(_in_source(each, default, "keyword_only", told))
    if args.kwarg:
        found.append(_in_source(args.kwarg, None, "var_keyword", told))
    return found


def _in_source(
    arg: ast.arg, default: ast.expr | None, kind: str, told: Mapping[str, str]
) -> _Seen:
    annotation = spelled_in(arg.annotation)
    value, text = _default(default)
    parameter = Parameter(
        name=arg.arg,
        kind=kind,
        annotation=annotation,
        required=default is None and kind not in _VARIABLE,
        default=value,
        choices=choices(annotation),
        doc=told.get(arg.arg, ""),
    )
    return _Seen(parameter, text)


def _default(node: ast.expr | None) -> tuple[Any, str]:
    """A default's value, if it is written out, and how it is shown."""
    if node is None:
        return None, ""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node), ast.unparse(node)
    return held(value), shown(value)


def _doc_in(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


def _yields(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function itself yields; functions inside it do not count."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(each, _FUNCTION | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(each))
    return False


# ---------------------------------------------------------------- both


def _without_self(seen: list[_Seen]) -> list[_Seen]:
    return seen[1:] if seen and seen[0].parameter.kind in _PLACED else seen


def _made(
    seen: Sequence[_Seen],
    doc: str,
    *,
    returns: str = "",
    is_generator: bool = False,
    is_async: bool = False,
) -> Signature:
    return Signature(
        text=_text(seen, returns),
        doc=doc,
        parameters=tuple(each.parameter for each in seen),
        returns=returns,
        is_generator=is_generator,
        is_async=is_async,
    )


def _text(seen: Sequence[_Seen], returns: str) -> str:
    """As `inspect.signature` prints it, the annotations plain."""
    words: list[str] = []
    kinds = [each.parameter.kind for each in seen]
    for place, (each, kind) in enumerate(zip(seen, kinds, strict=True)):
        is_first_named = kind == "keyword_only" and kind not in kinds[:place]
        if is_first_named and "var_positional" not in kinds:
            words.append("*")
        words.append(_one(each))
        if kind == "positional_only" and kinds[place + 1 : place + 2] != [kind]:
            words.append("/")
    return f"({', '.join(words)})" + (f" -> {returns}" if returns else "")


def _one(seen: _Seen) -> str:
    parameter = seen.parameter
    text = _MARKS.get(parameter.kind, "") + parameter.name
    if parameter.annotation:
        text += f": {parameter.annotation}"
    if seen.default:
        text += f" = {seen.default}" if parameter.annotation else f"={seen.default}"
    return text
