"""Frames of other libraries become tables, and tables frames of the library they were made of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.dataframe
import datasets
import numpy
import pandas
import polars
import pyarrow as pa
import pytest

import rhdesk as rh
from rhdesk.data.frames import batch_as, reader_of
from rhdesk.errors import BadInput, SetupFailed

COUNT = 1000
COLUMNS: dict[str, Any] = {
    "number": list(range(COUNT)),
    "share": [n / 7 for n in range(COUNT)],
    "text": [f"row {n}" for n in range(COUNT)],
}

MADE: dict[str, tuple[Callable[[], Any], str, type]] = {
    "pandas": (lambda: pandas.DataFrame(COLUMNS), "PandasTable", pandas.DataFrame),
    "polars": (lambda: polars.DataFrame(COLUMNS), "PolarsTable", polars.DataFrame),
    "lazy": (lambda: polars.LazyFrame(COLUMNS), "PolarsTable", polars.DataFrame),
    "datasets": (
        lambda: datasets.Dataset.from_dict(COLUMNS),
        "HuggingFaceTable",
        datasets.Dataset,
    ),
    "dask": (
        lambda: dask.dataframe.from_pandas(  # type: ignore[no-untyped-call]
            pandas.DataFrame(COLUMNS), npartitions=3
        ),
        "DaskTable",
        dask.dataframe.DataFrame,
    ),
    "pyarrow": (lambda: pa.table(COLUMNS), "Table", pa.Table),
}


@pytest.mark.parametrize("kind", MADE)
def test_it_comes_back_as_what_it_was(kind: str, tmp_path: Path) -> None:
    make, subtype, frame = MADE[kind]
    made = rh.table(make(), name=f"~/of-{kind}", path=str(tmp_path / kind)).write().save()
    assert made.config_for_rns["resource_subtype"] == subtype
    again = rh.load(f"~/of-{kind}")
    assert type(again).__name__ == subtype
    assert len(again) == COUNT
    fetched = again.fetch()
    assert isinstance(fetched, frame)
    back = reader_of(fetched).read_all()
    assert back["number"].to_pylist() == COLUMNS["number"]
    assert back["text"].to_pylist() == COLUMNS["text"]
    assert back["share"].to_pylist() == COLUMNS["share"]


def test_only_the_rows_that_were_chosen_are_written(tmp_path: Path) -> None:
    chosen = datasets.Dataset.from_dict(COLUMNS).select(range(5, 10))
    table = rh.table(chosen, path=str(tmp_path / "some")).write()
    assert [row["number"] for row in table] == [5, 6, 7, 8, 9]
    frame = pandas.DataFrame(COLUMNS)[5:10]
    table = rh.table(frame, path=str(tmp_path / "others")).write()
    assert list(next(table.stream(10)).columns) == list(COLUMNS)  # its index is no column


def test_what_is_several_tables_or_none_is_refused(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": datasets.Dataset.from_dict(COLUMNS)})
    with pytest.raises(BadInput, match="choose one: train"):
        rh.table(both, path=str(tmp_path / "x")).write()
    with pytest.raises(BadInput, match="is no table"):
        rh.table(object(), path=str(tmp_path / "x")).write()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["numpy", "dict", "pandas", "polars", "pyarrow"])
def test_batches_come_as_they_are_wanted(kind: str, tmp_path: Path) -> None:
    table = rh.table(pa.table(COLUMNS), path=str(tmp_path / "t"), stream_format=kind).write()
    batch = next(table.stream(100))
    assert list(batch["number"]) == list(range(100)) or kind == "pyarrow"
    if kind == "numpy":
        assert batch["share"].dtype == numpy.float64
    assert next(table.stream(10, as_dict=True))["number"] == list(range(10))


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rh.table(polars.DataFrame(COLUMNS), name="~/p", path=str(tmp_path / "p")).write().save()
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(SetupFailed, match='pip install "polars"'):
        rh.load("~/p").fetch()
    monkeypatch.setitem(sys.modules, "torch", None)
    batch = pa.record_batch({"a": [1.0]})
    with pytest.raises(SetupFailed, match="pip install torch"):
        batch_as(batch, "torch")
    with pytest.raises(BadInput, match="what does: pyarrow"):
        rh.table(path=str(tmp_path / "p"), stream_format="rows")


@pytest.mark.ray
def test_ray_data_comes_back_as_ray_data(place: Any) -> None:
    script = """
import ray, rhdesk as rh
ray.init("local", num_cpus=2, include_dashboard=False)
frame = ray.data.range(1000)
table = rh.table(frame, name="~/of-ray", path="of-ray").write().save()
again = rh.load("~/of-ray")
print(type(again).__name__, len(again), again.fetch().sum("id"))
"""
    said = place.python("-c", script).stdout
    assert "RayTable 1000 499500" in said
