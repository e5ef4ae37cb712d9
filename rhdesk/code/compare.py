"""What differs in the code of two versions: file by file, from what the shelf keeps of both."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

from rhdesk.code.bundle import Bundle, CodeShelf
from rhdesk.errors import NotFound
from rhdesk.foreign import clean
from rhdesk.models import FileChange

PICKLE: Final = "(pickle)"
"""What code that travels by value, or the state of an instance, is called: it has no path."""

_MOST_BYTES: Final = 512 * 1024
_MOST_LINES: Final = 4_000
"""A larger file is said to differ, and no more: to compare it line by line could take minutes."""
_MOST_SHOWN: Final = 2_000
_LONGEST: Final = 2_000
"""Characters of a shown line."""


def file_changes(before: Bundle, after: Bundle, shelf: CodeShelf) -> list[FileChange]:
    """The files that differ, in order of their paths."""
    found: list[FileChange] = []
    for path in sorted(before.files.keys() | after.files.keys()):
        old, new = before.files.get(path, ""), after.files.get(path, "")
        if old != new:
            found.append(_change(clean(path), old, new, tuple(_lines(path, old, new, shelf))))
    if before.blob != after.blob:
        found.append(_change(PICKLE, before.blob, after.blob, ()))
    return found


def _change(path: str, old: str, new: str, lines: tuple[str, ...]) -> FileChange:
    kind = "changed" if old and new else "added" if new else "removed"
    return FileChange(path=path, kind=kind, lines=lines)


def _lines(path: str, old: str, new: str, shelf: CodeShelf) -> Iterator[str]:
    """A unified diff; nothing where a side is not text, too large, or not kept here."""
    sides = [_text(digest, shelf) for digest in (old, new)]
    if sides[0] is None or sides[1] is None:
        return
    name = clean(path)
    diff = difflib.unified_diff(
        sides[0],
        sides[1],
        f"a/{name}" if old else "/dev/null",
        f"b/{name}" if new else "/dev/null",
    )
    for number, line in enumerate(diff):
        if number == _MOST_SHOWN:
            yield f"… more than {_MOST_SHOWN} lines differ"
            return
        text = clean(line.rstrip("\n"))
        yield text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(digest: str, shelf: CodeShelf) -> list[str] | None:
    """The lines of a file; none for a side that does not have it, None where there is no text."""
    if not digest:
        return []
    try:
        data = shelf.load(digest)
    except NotFound:
        return None
    if len(data) > _MOST_BYTES or b"\0" in data:
        return None
    try:
        text = data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        return None
    # Not `splitlines`: a form feed or U+2028 ends no line of code.
    lines = text.split("\n") if text else []
    return lines if len(lines) <= _MOST_LINES else None


def told_by_files(pointer: str, changed: Mapping[str, object]) -> bool:
    """Whether the field at *pointer* of a function's or module's record says what its files say.

    Args:
        changed: The fields that differ, by pointer.
    """
    if pointer in {"/code/tree", "/code/blob"} or pointer.startswith("/code/files"):
        return True
    # The text of a signature spells its parameters.
    owner, _, last = pointer.rpartition("/")
    return last == "parameters" and f"{owner}/text" in changed
