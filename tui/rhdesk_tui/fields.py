"""What a parameter's text in a form means, and what is wrong with it; no widgets here."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from rhdesk.foreign import clean
from rhdesk.models import Parameter

Shape = Literal["switch", "choice", "int", "float", "text", "json", "list", "object"]

_OPTIONAL: Final = re.compile(r"\bNone\b|\bOptional\[")


class Wrong(ValueError):
    """What was typed does not fit the parameter; the message says what would."""


def shape_of(parameter: Parameter) -> Shape:
    if parameter.kind == "var_positional":
        return "list"
    if parameter.kind == "var_keyword":
        return "object"
    if parameter.choices:
        return "choice"
    bare = _bare(parameter.annotation)
    if bare == "bool" or (not bare and isinstance(parameter.default, bool)):
        return "switch"
    if bare in {"int", "float"}:
        return "int" if bare == "int" else "float"
    if bare in {"str", "Path", "pathlib.Path"}:
        return "text"
    if not bare and isinstance(parameter.default, int):
        return "int"
    if not bare and isinstance(parameter.default, float):
        return "float"
    if not bare and isinstance(parameter.default, str):
        return "text"
    return "json"


def may_be_none(parameter: Parameter) -> bool:
    if _OPTIONAL.search(parameter.annotation):
        return True
    return not parameter.required and parameter.default is None


def type_note(parameter: Parameter) -> str:
    """What may be typed, in a few words."""
    match shape_of(parameter):
        case "list":
            return "JSON list"
        case "object":
            return "JSON object"
        case "json":
            what = parameter.annotation or "any"
            return f"{what}, as JSON"
        case "int":
            return parameter.annotation or "int"
        case "float":
            return parameter.annotation or "float"
        case _:
            return parameter.annotation


def read(parameter: Parameter, text: str) -> Any:
    """The value that *text* stands for.

    Raises:
        Wrong: It stands for none.
    """
    shape = shape_of(parameter)
    stripped = text.strip()
    if not stripped and shape not in {"list", "object"}:
        if parameter.required:
            raise Wrong('needs a value ("" for empty text)' if shape == "text"
                        else "needs a value")  # fmt: skip
        if shape == "text":
            return text
        raise Wrong("empty: Backspace makes it None" if may_be_none(parameter) else "empty")
    match shape:
        case "int":
            try:
                return int(stripped.replace("_", ""), 10)
            except ValueError:
                raise Wrong(f"{stripped!r} is not a whole number, such as 3") from None
        case "float":
            try:
                return float(stripped)
            except ValueError:
                raise Wrong(f"{stripped!r} is not a number, such as 2e-4") from None
        case "text":
            return "" if stripped == '""' else text
        case "list":
            items: Any = _json(stripped or "[]")
            if not _is_a(list, items):
                raise Wrong("must be a JSON list, such as [1, 2]")
            return items
        case "object":
            members: Any = _json(stripped or "{}")
            if not _is_a(dict, members):
                raise Wrong('must be a JSON object, such as {"a": 1}')
            return members
        case _:
            return _json(stripped)


def written(parameter: Parameter) -> str:
    """The default as text in the form."""
    if parameter.kind in {"var_positional", "var_keyword"}:
        return ""
    if parameter.required or parameter.default is None:
        return ""
    if isinstance(parameter.default, str):
        return clean(parameter.default)
    return clean(json.dumps(parameter.default, ensure_ascii=False, default=repr))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        raise Wrong(f"not JSON: {exc.msg} at character {exc.pos + 1}") from None


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind)


def _bare(annotation: str) -> str:
    """The annotation without ``| None``; empty when that leaves a choice or is structured."""
    optional = re.fullmatch(r"(?:typing\.)?Optional\[(.*)\]", annotation.strip())
    parts = [optional[1]] if optional else annotation.split("|")
    kept = [part.strip() for part in parts if part.strip() not in {"None", ""}]
    return kept[0] if len(kept) == 1 else "|".join(kept)
