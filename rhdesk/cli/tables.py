"""``rhdesk data schema | head | sql | write``."""

from __future__ import annotations

import re
from typing import Any, Final

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.errors import BadInput
from rhdesk.models import ColumnProfile, TableInfo, TablePage

_CONDITION: Final = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|<|>|=)\s*(.*?)\s*", re.DOTALL)


@click.command()
@click.argument("path")
@as_json
def schema(path: str, as_json: bool) -> None:
    """Columns of the table at PATH, and the type of each."""
    found = at_desk(lambda desk: desk.table_info(path)).columns
    rows = [(column.name, column.type) for column in found]
    shown = [{"name": name, "type": kind} for name, kind in rows]
    answer(shown, as_json, lambda: output.print_table(("COLUMN", "TYPE"), rows))


@click.command()
@click.argument("path")
@click.option("-n", "--rows", default=20, show_default=True, help="How many rows.")
@click.option("--from", "offset", default=0, help="The first row, counted from 0.")
@click.option("-c", "--column", multiple=True, help="This column; again for another.")
@click.option("--where", multiple=True, help="Only rows where: 'dep_delay >= 30'; again for and.")
@click.option("--sort", default="", help="In the order of this column; null is last.")
@click.option("--desc", is_flag=True, help="With --sort: the largest first.")
@as_json
def head(
    path: str,
    rows: int,
    offset: int,
    column: tuple[str, ...],
    where: tuple[str, ...],
    sort: str,
    desc: bool,
    as_json: bool,
) -> None:
    """Rows of the table at PATH."""
    conditions = [_condition(each) for each in where]
    found = at_desk(
        lambda desk: desk.table_page(
            path,
            offset=offset,
            limit=rows,
            columns=column or None,
            where=conditions,
            order_by=(sort, desc) if sort else None,
        )
    )
    answer(found, as_json, lambda: _show_page(found))


@click.command()
@click.argument("path")
@click.option("--where", multiple=True, help="Only rows where: 'dep_delay >= 30'; again for and.")
@as_json
def count(path: str, where: tuple[str, ...], as_json: bool) -> None:
    """How many rows the table at PATH has."""
    conditions = [_condition(each) for each in where]
    found = at_desk(lambda desk: desk.table_count(path, where=conditions))
    answer(found, as_json, lambda: output.print_text(f"{found:,}"))


@click.command()
@click.argument("path")
@click.argument("file")
@click.option("-c", "--column", multiple=True, help="This column; again for another.")
@click.option("--where", multiple=True, help="Only rows where: 'dep_delay >= 30'; again for and.")
@as_json
def export(
    path: str, file: str, column: tuple[str, ...], where: tuple[str, ...], as_json: bool
) -> None:
    """Write rows of the table at PATH as FILE, which ends in .csv, .parquet or .jsonl."""
    conditions = [_condition(each) for each in where]
    done = at_desk(
        lambda desk: desk.export_table(path, file, columns=column or None, where=conditions)
    )
    answer(done, as_json, lambda: output.note(f"{done.rows:,} rows in {done.path}"))


@click.command()
@click.argument("path")
@click.argument("column")
@as_json
def profile(path: str, column: str, as_json: bool) -> None:
    """How the values of COLUMN of the table at PATH are spread."""
    found = at_desk(lambda desk: desk.column_profile(path, column))
    answer(found, as_json, lambda: _show_profile(found))


@click.command()
@click.argument("path")
@click.argument("statement")
@click.option("--limit", default=1000, show_default=True, help="At most so many rows.")
@as_json
def sql(path: str, statement: str, limit: int, as_json: bool) -> None:
    """What STATEMENT answers about the table at PATH, which is called t in it."""
    found = at_desk(lambda desk: desk.table_sql(path, statement, limit=limit))
    answer(found, as_json, lambda: _show_page(found))


@click.command()
@click.argument("source")
@click.argument("path")
@click.option("--mode", type=click.Choice(["new", "append", "overwrite"]), default="new")
@click.option("--format", type=click.Choice(["parquet", "arrow", "csv"]), default="parquet")
@click.option("--by", multiple=True, help="A folder for each value of this column.")
@as_json
def write(
    source: str, path: str, mode: str, format: str, by: tuple[str, ...], as_json: bool
) -> None:
    """Write the rows of the table SOURCE as the table PATH."""
    done = at_desk(
        lambda desk: desk.copy_table(source, path, mode=mode, format=format, partition_cols=by)
    )
    said = f"{done.rows} rows in {done.files} files: version {done.version} of {path}"
    answer(done, as_json, lambda: output.note(said))


def _condition(text: str) -> tuple[str, str, Any]:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise BadInput(f"{text!r} is no condition; one looks like 'dep_delay >= 30'")
    column, how, value = found.groups()
    try:
        read = msgspec.json.decode(value)
    except msgspec.DecodeError:
        read = value
    return column, "==" if how == "=" else how, read


def show_info(found: TableInfo) -> None:
    rows = "unknown" if found.rows is None else f"{found.rows:,}"
    version = f", version {found.version}" if found.version else ""
    output.print_text(
        f"{found.path}: {rows} rows, {found.files} files of {found.format}, "
        f"{found.size_bytes:,} bytes{version}"
    )
    table = [
        (
            column.name,
            column.type,
            "-" if column.nulls is None else column.nulls,
            _cell(column.least),
            _cell(column.most),
        )
        for column in found.columns
    ]
    output.print_table(("COLUMN", "TYPE", "NULLS", "LEAST", "MOST"), table)


def _show_profile(found: ColumnProfile) -> None:
    output.print_text(f"{found.name}: {found.rows:,} rows, {found.nulls:,} null")
    if found.bins:
        output.print_text(f"from {_cell(found.least)} to {_cell(found.most)}, in equal parts:")
        output.print_table(("PART", "ROWS"), list(enumerate(found.bins, start=1)))
    elif found.top:
        output.print_table(("VALUE", "ROWS"), [(_cell(value), n) for value, n in found.top])


def _show_page(found: TablePage) -> None:
    output.print_table(found.columns, [[_cell(cell) for cell in row] for row in found.rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
