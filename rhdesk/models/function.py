"""A callable's shape, as far as a form or a command line needs it."""

from __future__ import annotations

from typing import Any

import msgspec


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str = "positional_or_keyword"
    """As in `inspect`: positional_only, positional_or_keyword, var_positional, keyword_only,
    var_keyword."""
    annotation: str = ""
    """Source text of the annotation."""
    required: bool = True
    default: Any = None
    """The default if JSON can hold it, else its `repr` as text."""
    choices: tuple[Any, ...] = ()
    """The values of a `Literal` or `Enum` annotation."""
    doc: str = ""
    """What the docstring says of it."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    text: str = "()"
    """As `inspect.signature` prints it."""
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    returns: str = ""
    is_generator: bool = False
    is_async: bool = False
