"""``rhdesk data``: files and tables, wherever they are."""

from __future__ import annotations

import click

from rhdesk.cli import tables


@click.group()
def data() -> None:
    """Tables in parquet, arrow, csv and JSON lines: here, or at an address such as s3://..."""


for command in (tables.info, tables.schema, tables.head, tables.sql, tables.write):
    data.add_command(command)
