"""What of a table is looked at: conditions, order, columns; and how that is typed and spelled."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rhdesk.errors import BadInput
from rhdesk.models import Record
from rhdesk_tui.spellings import cli
from rhdesk_tui.wording import as_json

Condition = tuple[str, str, Any]
_HOW: Final = re.compile(r"\s*(==|!=|<=|>=|<|>|=|not in\b|in\b)\s*(.*)", re.DOTALL)
_AND: Final = re.compile(r"\s+and\s+", re.IGNORECASE)
_HERE: Final = frozenset({"", "file", "here"})


@dataclass(frozen=True)
class TableSource:
    """Where a table is."""

    place: str
    options: Mapping[str, Any] | None = None
    """What its file system wants to know."""
    name: str = ""
    """The name it is saved under, if that is how it was found."""

    @property
    def title(self) -> str:
        return self.name or self.place


def source_of(record: Record) -> TableSource:
    """The place of a table that is saved under a name.

    Raises:
        BadInput: The record does not say where it is.
    """
    path, system = record.config.get("path"), record.config.get("system") or ""
    if not isinstance(path, str) or not path or not isinstance(system, str):
        raise BadInput(f"{record.name} does not say where its rows are: it has no path")
    options: Any = record.config.get("data_config")
    place = path if system in _HERE or "://" in path else f"{system}://{path}"
    return TableSource(place, options if isinstance(options, dict) else None, record.name)


@dataclass(frozen=True)
class TableView:
    """The rows and columns that are wanted of a table; the plain one wants all, as they are."""

    where: tuple[Condition, ...] = ()
    order: tuple[str, bool] | None = None
    """A column, and whether the largest comes first."""
    sql: str = ""
    """A statement that is asked instead; the table is called ``t`` in it."""

    @property
    def chips(self) -> list[str]:
        """What is not as it is in the files, a word each."""
        if self.sql:
            return [f"SQL {self.sql}"]
        said = [spell(condition) for condition in self.where]
        if self.order:
            said.append(f"{self.order[0]} {'▼' if self.order[1] else '▲'}")
        return said


@dataclass
class Place:
    """Where somebody was in a table, kept while the program runs."""

    view: TableView = field(default_factory=TableView)
    past: list[TableView] = field(default_factory=list[TableView])
    """Views that `z` goes back to, newest last."""
    row: int = 0
    column: str = ""
    frozen: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    aside: str = "column"


def parse(text: str, columns: Sequence[str]) -> tuple[Condition, ...]:
    """Conditions as they are typed: ``dep_delay >= 30 and carrier in UA, AA``.

    Raises:
        BadInput: It is none, or of a column that is not there.
    """
    found: list[Condition] = []
    for part in _AND.split(text.strip()):
        name = _column(part, columns)
        how = _HOW.fullmatch(part[len(name) :])
        if how is None:
            raise BadInput(f"{part!r} is no condition; one looks like: {name} >= 30")
        sign, value = how[1], how[2].strip()
        if sign in {"in", "not in"}:
            many = [_value(each.strip()) for each in value.strip("()[]").split(",")]
            found.append((name, sign, many))
        else:
            found.append((name, "==" if sign == "=" else sign, _value(value)))
    return tuple(found)


def _column(part: str, columns: Sequence[str]) -> str:
    """The longest column that *part* begins with: names may hold spaces and signs."""
    fitting = [name for name in columns if part.startswith(name)]
    if not fitting:
        near = ", ".join(columns[:6]) + ("…" if len(columns) > 6 else "")
        raise BadInput(f"{part!r} begins with no column; columns are {near}")
    return max(fitting, key=len)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def spell(condition: Condition) -> str:
    """A condition as it could be typed."""
    name, how, value = condition
    if how in {"in", "not in"}:
        return f"{name} {how} {', '.join(map(_spelled, value))}"
    return f"{name} {how} {_spelled(value)}"


def _spelled(value: Any) -> str:
    """A value so that `_value` reads the same: text that looks like a number is quoted."""
    if isinstance(value, str) and isinstance(_value(value), str):
        return value
    return as_json(value)


def as_cli(source: TableSource, view: TableView, row: int) -> str:
    """What is on screen as a command; "" where there is none that says it."""
    if any(how in {"in", "not in"} for _, how, _ in view.where):
        return ""
    if view.sql:
        return cli("data", "sql", source.place, view.sql)
    words = ["data", "head", source.place]
    if row:
        words += ["--from", str(row)]
    for condition in view.where:
        words += ["--where", spell(condition)]
    if view.order:
        words += ["--sort", view.order[0], *(["--desc"] if view.order[1] else [])]
    return cli(*words)


def as_python(source: TableSource, view: TableView) -> str:
    """What is on screen as Python; the rows as pyarrow."""
    if view.sql:
        return f"rh.Desk().table_sql({source.place!r}, {view.sql!r})"
    where = f", where={list(view.where)!r}" if view.where else ""
    return f"rh.Desk().read_table({source.place!r}{where})"


def row_number(text: str, total: int | None) -> int | None:
    """The row, counted from 0, that ``812 004`` or ``50%`` means; None if it means none."""
    bare = re.sub(r"[\s,_]", "", text)
    if bare.isdecimal():
        return max(int(bare) - 1, 0)
    if bare.endswith("%") and total:
        try:
            share = float(bare[:-1]) / 100
        except ValueError:
            return None
        if 0 <= share <= 1:
            return min(int(share * total), total - 1)
    return None
