"""What a docstring says of each parameter: Google's form, NumPy's and Sphinx's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SECTION: Final = re.compile(
    r"^(?:Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments|Attributes):[ \t]*$"
)
_ITEM: Final = re.compile(r"^\*{0,2}(\w+)(?:\s*\(.*?\))?:(?:\s+(.*)|)$")
_NUMPY_SECTION: Final = re.compile(r"^(?:Other )?Parameters[ \t]*$")
_NUMPY_ITEM: Final = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_FIELD: Final = re.compile(
    r"^:(?:param|parameter|arg|argument|keyword|key)\s+(?:[^:]*?\s)?\*{0,2}(\w+):\s*(.*)$"
)


def told_of(doc: str) -> dict[str, str]:
    """Parameter to what *doc* says of it, each on one line. *doc* is without indentation."""
    told: dict[str, str] = {}
    lines = doc.splitlines()
    for at, line in enumerate(lines):
        if _SECTION.match(line):
            told |= _google(_indented(lines[at + 1 :]))
        elif _NUMPY_SECTION.match(line) and re.match(
            r"^-{3,}\s*$", "".join(lines[at + 1 : at + 2])
        ):
            told |= _numpy(lines[at + 2 :])
        elif field := _FIELD.match(line):
            told[field[1]] = _joined([field[2], *_continued(lines[at + 1 :])])
    return told


def _google(block: list[str]) -> dict[str, str]:
    told: dict[str, list[str]] = {}
    depth = min((_depth(line) for line in block if line.strip()), default=0)
    name = ""
    for line in block:
        item = _ITEM.match(line[depth:]) if _depth(line) == depth else None
        if item:
            name = item[1]
            told[name] = [item[2] or ""]
        elif name:
            told[name].append(line)
    return {name: _joined(lines) for name, lines in told.items()}


def _numpy(lines: list[str]) -> dict[str, str]:
    told: dict[str, list[str]] = {}
    names: list[str] = []
    for at, line in enumerate(lines):
        if line.strip() and not _depth(line):
            item = _NUMPY_ITEM.match(line)
            underlined = re.match(r"^-{3,}\s*$", "".join(lines[at + 1 : at + 2]))
            if item is None or underlined:
                break
            names = [name.strip(" *") for name in item[1].split(",")]
            told |= {name: [] for name in names}
        else:
            for name in names:
                told[name].append(line)
    return {name: _joined(lines) for name, lines in told.items()}


def _indented(lines: list[str]) -> list[str]:
    """The lines that belong to a section: up to the first that is not indented."""
    end = next((at for at, line in enumerate(lines) if line.strip() and not _depth(line)), None)
    return lines[:end]


def _continued(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.strip() or not _depth(line):
            return
        yield line


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
