"""What a callable takes: read from a live function or from its source, and held against arguments.

Reading the source imports nothing, so a form can be drawn for a function whose packages are not
installed here.
"""

from __future__ import annotations

import ast
import difflib
import enum
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

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

# ---------------------------------------------------------------- reading


def of_callable(fn: Callable[..., Any]) -> Signature:
    """The signature of a live function; of a class, that of its construction."""
    try:
        seen = inspect.signature(fn)
    except (TypeError, ValueError):
        return Signature(text="(...)", doc=inspect.getdoc(fn) or "")
    doc = inspect.getdoc(fn) or ""
    told = _told_of(doc)
    parameters = tuple(
        Parameter(
            name=each.name,
            kind=_KINDS[each.kind],
            annotation=_annotation(each.annotation),
            required=each.default is each.empty and _KINDS[each.kind] not in _VARIABLE,
            default=None if each.default is each.empty else _default(each.default),
            choices=_choices(each.annotation),
            doc=told.get(each.name, ""),
        )
        for each in seen.parameters.values()
    )
    target = inspect.unwrap(fn)
    return Signature(
        text=str(seen),
        doc=doc,
        parameters=parameters,
        returns=_annotation(seen.return_annotation),
        is_generator=inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target),
        is_async=inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target),
    )


def methods_of(cls: type) -> dict[str, Signature]:
    """The public methods of a live class, without ``self``."""
    found: dict[str, Signature] = {}
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or not callable(member):
            continue
        is_plain = inspect.isfunction(inspect.getattr_static(cls, name))
        found[name] = _without_self(of_callable(member)) if is_plain else of_callable(member)
    return found


def of_ast(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Signature:
    """The same from the source; of a class, that of its ``__init__``."""
    if isinstance(node, ast.ClassDef):
        made = next((m for m in _members(node) if m.name == "__init__"), None)
        doc = inspect.cleandoc(ast.get_docstring(node) or "")
        if made is None:
            return Signature(doc=doc)
        return msgspec.structs.replace(_without_self(of_ast(made)), doc=doc, returns="")
    doc = inspect.cleandoc(ast.get_docstring(node) or "")
    told = _told_of(doc)
    parameters = tuple(_parameters(node.args, told))
    returns = ast.unparse(node.returns) if node.returns else ""
    text = f"({ast.unparse(node.args)})" + (f" -> {returns}" if returns else "")
    return Signature(
        text=text,
        doc=doc,
        parameters=parameters,
        returns=returns,
        is_generator=_yields(node),
        is_async=isinstance(node, ast.AsyncFunctionDef),
    )


def methods_of_ast(node: ast.ClassDef) -> dict[str, Signature]:
    """The public methods of a class in the source, without ``self``; bases are not followed."""
    found: dict[str, Signature] = {}
    for member in _members(node):
        marks = {ast.unparse(mark) for mark in member.decorator_list}
        if member.name.startswith("_") or marks & {"property", "cached_property"}:
            continue
        if any(mark.endswith(("cached_property", ".setter", ".deleter")) for mark in marks):
            continue
        signature = of_ast(member)
        found[member.name] = signature if "staticmethod" in marks else _without_self(signature)
    return found


# ---------------------------------------------------------------- arguments


def read_arguments(
    signature: Signature, named: Mapping[str, Any], placed: Sequence[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Arguments as typed: text becomes what its parameter's annotation says.

    Raises:
        BadInput: A text does not spell a value of its parameter.
    """
    by_name = {parameter.name: parameter for parameter in signature.parameters}
    in_order = [p for p in signature.parameters if p.kind in _PLACED]
    rest = next((p for p in signature.parameters if p.kind == "var_positional"), None)
    read = [
        _read(in_order[place] if place < len(in_order) else rest, value)
        for place, value in enumerate(placed)
    ]
    return {name: _read(by_name.get(name), value) for name, value in named.items()}, read


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
        if parameter.name in named:
            raise BadInput(f"{takes}; {parameter.name} was given twice")
    args, kwargs = list(placed), dict(named)
    for parameter in in_order[len(placed) :]:
        if parameter.name not in kwargs:
            if parameter.required:
                raise BadInput(_missing(name, parameter, takes))
        elif parameter.kind == "positional_only":
            args.append(kwargs.pop(parameter.name))
    for parameter in signature.parameters:
        if (
            parameter.kind == "keyword_only"
            and parameter.required
            and parameter.name not in kwargs
        ):
            raise BadInput(_missing(name, parameter, takes))
    return args, kwargs


def read_text(parameter: Parameter, text: str) -> Any:
    """What *text* means for *parameter*.

    Raises:
        BadInput: Nothing; the message shows what a right one looks like.
    """
    annotation = parameter.annotation.replace(" ", "")
    kinds = set(re.split(r"[|\[\],]", annotation)) - {""}
    if parameter.choices:
        chosen = {str(choice): choice for choice in parameter.choices}
        if text not in chosen:
            raise BadInput(f"{parameter.name} is one of {', '.join(chosen)}, not {text!r}")
        return chosen[text]
    if text in {"None", "null"} and ("None" in kinds or "Optional" in kinds):
        return None
    kinds -= {"None", "Optional", "typing.Optional", "Union"}
    if kinds == {"str"}:
        return text
    if kinds == {"bool"}:
        return _bool(parameter, text)
    if kinds in ({"int"}, {"float"}, {"int", "float"}):
        return _number(parameter, text, kinds)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as exc:
        if kinds & {"list", "dict", "tuple", "set", "Sequence", "Mapping", "List", "Dict"}:
            raise BadInput(
                f'{parameter.name} is {parameter.annotation}, as JSON: [1, 2] or {{"a": 1}}; '
                f"{text!r} is not: {exc}"
            ) from exc
        return text


def _read(parameter: Parameter | None, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return read_text(parameter or Parameter(name="it"), value)


def _bool(parameter: Parameter, text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise BadInput(f"{parameter.name} is true or false, not {text!r}")
    return known[text.lower()]


def _number(parameter: Parameter, text: str, kinds: set[str]) -> int | float:
    digits = text.replace("_", "")
    try:
        return int(digits) if "int" in kinds else float(digits)
    except ValueError:
        pass
    try:
        number = float(digits)
    except ValueError:
        raise BadInput(_no_number(parameter, text)) from None
    if "float" not in kinds:
        raise BadInput(_no_number(parameter, text))
    return number


def _no_number(parameter: Parameter, text: str) -> str:
    example = "3" if parameter.annotation.startswith("int") else "0.3"
    return f"{parameter.name} is {parameter.annotation}, like {example}; {text!r} is not"


def _missing(name: str, parameter: Parameter, takes: str) -> str:
    kind = f" ({parameter.annotation})" if parameter.annotation else ""
    about = f": {parameter.doc}" if parameter.doc else ""
    return f"{name} needs {parameter.name}{kind}{about}; {takes}"


def _listed(signature: Signature) -> str:
    marks = {"var_positional": "*", "var_keyword": "**"}
    names = [
        marks.get(p.kind, "")
        + p.name
        + ("" if p.required or p.kind in _VARIABLE else f"={p.default!r}")
        for p in signature.parameters
    ]
    return ", ".join(names) or "nothing"


# ---------------------------------------------------------------- underneath


def _members(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [m for m in node.body if isinstance(m, _FUNCTION)]


def _without_self(signature: Signature) -> Signature:
    rest = signature.parameters[1:]
    text = re.sub(r"^\(\w+(?:: [^,)]*)?(?:, /)?(?:, )?", "(", signature.text, count=1)
    return msgspec.structs.replace(signature, parameters=rest, text=text)


def _parameters(args: ast.arguments, told: Mapping[str, str]) -> list[Parameter]:
    placed = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(placed) - len(args.defaults))
    defaults += args.defaults
    found: list[Parameter] = []
    for each, default in zip(placed, defaults, strict=True):
        kind = "positional_only" if each in args.posonlyargs else "positional_or_keyword"
        found.append(_parameter(each, default, kind, told))
    if args.vararg:
        found.append(_parameter(args.vararg, None, "var_positional", told))
    for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found.append(_parameter(each, default, "keyword_only", told))
    if args.kwarg:
        found.append(_parameter(args.kwarg, None, "var_keyword", told))
    return found


def _parameter(
    arg: ast.arg, default: ast.expr | None, kind: str, told: Mapping[str, str]
) -> Parameter:
    annotation = ast.unparse(arg.annotation) if arg.annotation else ""
    if isinstance(arg.annotation, ast.Constant) and isinstance(arg.annotation.value, str):
        annotation = arg.annotation.value
    return Parameter(
        name=arg.arg,
        kind=kind,
        annotation=annotation,
        required=default is None and kind not in _VARIABLE,
        default=None if default is None else _default_ast(default),
        choices=_choices_ast(arg.annotation),
        doc=told.get(arg.arg, ""),
    )


def _default_ast(node: ast.expr) -> Any:
    try:
        return _default(ast.literal_eval(node))
    except (ValueError, TypeError):
        return ast.unparse(node)


def _default(value: Any) -> Any:
    """The default, if JSON can hold it, else its `repr`."""
    if isinstance(value, enum.Enum):
        return value.value
    try:
        return msgspec.json.decode(msgspec.json.encode(value)) if _is_json(value) else repr(value)
    except (TypeError, ValueError):
        return repr(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_json(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())  # pyright: ignore[reportUnknownVariableType]
    return value is None or isinstance(value, bool | int | float | str)


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    return inspect.formatannotation(annotation)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, str):
        try:
            return _choices_ast(ast.parse(annotation, mode="eval").body)
        except SyntaxError:
            return ()
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.value for member in annotation)
    return ()


def _choices_ast(node: ast.expr | None) -> tuple[Any, ...]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _choices(node.value)
    if not isinstance(node, ast.Subscript) or not ast.unparse(node.value).endswith("Literal"):
        return ()
    try:
        values = ast.literal_eval(node.slice)
    except ValueError:
        return ()
    return values if isinstance(values, tuple) else (values,)


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


_GOOGLE: Final = re.compile(
    r"^(?:Args|Arguments|Parameters):\s*$\n((?:[ \t]+.*(?:\n|$)|\s*\n)+)", re.M
)
_GOOGLE_ITEM: Final = re.compile(r"^(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_SPHINX: Final = re.compile(r"^:param\s+(?:[\w\[\], .]+\s+)?(\w+):\s*(.*)$", re.M)
_NUMPY: Final = re.compile(r"^Parameters\n-{3,}\n((?:.+(?:\n|$)|\n(?=[ \t]))+)", re.M)
_NUMPY_ITEM: Final = re.compile(r"^(\w+)\s*(?::.*)?$")


def _told_of(doc: str) -> dict[str, str]:
    """What a docstring says of each parameter; Google, NumPy and Sphinx forms."""
    told = {name: text.strip() for name, text in _SPHINX.findall(doc)}
    if block := _GOOGLE.search(doc):
        told |= _told_google(block.group(1))
    if block := _NUMPY.search(doc):
        told |= _told_numpy(block.group(1))
    return told


def _told_google(block: str) -> dict[str, str]:
    told: dict[str, str] = {}
    indent, name = None, ""
    for line in block.splitlines():
        item = _GOOGLE_ITEM.match(line)
        if item and (indent is None or len(item[1]) == indent):
            indent, name = len(item[1]), item[2]
            told[name] = item[3].strip()
        elif name and line.strip():
            told[name] = f"{told[name]} {line.strip()}".strip()
    return told


def _told_numpy(block: str) -> dict[str, str]:
    told: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if item := _NUMPY_ITEM.match(line):
            name = item[1]
            told[name] = ""
        elif name and line.strip():
            told[name] = f"{told[name]} {line.strip()}".strip()
    return told
