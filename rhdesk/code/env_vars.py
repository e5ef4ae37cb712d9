"""Variables a run sees, from a dict or a .env file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rhdesk.errors import BadInput

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENTRY: Final = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<key>[^\s=#]+)[ \t]*="
    r"(?:[ \t]*(?:'(?P<single>[^']*)'|\"(?P<double>(?:\\.|[^\"\\])*)\")[ \t]*(?:#[^\n]*)?"
    r"|(?P<plain>(?![ \t]*['\"])[^\n]*))(?:\n|\Z)",
    re.DOTALL,
)
_COMMENT: Final = re.compile(r"(?:(?<=\s)|^\s+)#.*$")
_BLANK: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\n|[ \t]*(?:#[^\n]*)?\Z")
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}


def load_env_vars(source: Mapping[str, object] | str | Path, *, folder: Path) -> dict[str, str]:
    """Variables as text, in the order given.

    Args:
        source: The variables, or the path of a .env file. In a file, ``${NAME}`` outside single
            quotes stands for an earlier variable or one of this process.
        folder: What a relative path is relative to.

    Raises:
        BadInput: A name or a value that no process can have, or a line that is not
            ``NAME=value``. No message quotes a value: it may be a secret.
    """
    if isinstance(source, str | Path):
        return _from_file(folder / Path(source).expanduser())
    return {_checked_key(key, "env_vars"): _checked(key, value) for key, value in source.items()}


def _from_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise BadInput(f"{str(path)!r} is not text; a .env file holds NAME=value lines") from exc
    except OSError as exc:
        raise BadInput(f"the env file {str(path)!r} cannot be read: {exc.strerror}") from exc
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank is not None:
            at = blank.end()
            continue
        where = f"{path.name}:{text.count(chr(10), 0, at) + 1}"
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise BadInput(f"{where} is not a variable; lines look like NAME=value")
        key = _checked_key(entry["key"], where)
        found[key] = _checked(key, _value(entry, found))
        at = entry.end()
    return found


def _value(entry: re.Match[str], known: Mapping[str, str]) -> str:
    if entry["single"] is not None:
        return entry["single"]

    def fill(match: re.Match[str]) -> str:
        return known.get(match[1], os.environ.get(match[1], match[2] or ""))

    if entry["double"] is not None:
        text = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), entry["double"])
        return _REFERENCE.sub(fill, text)
    return _REFERENCE.sub(fill, _COMMENT.sub("", entry["plain"]).strip())


def _checked_key(key: object, where: str) -> str:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise BadInput(f"{where}: {key!r} is not a variable's name; names look like DATA_DIR")
    return key


def _checked(key: str, value: object) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput(f"the variable {key} has a NUL byte in its value")
        return value
    if isinstance(value, int | float):
        return str(value)
    raise BadInput(f"the variable {key} is a {type(value).__name__}; give text or a number")
