"""A table as batches for training: of one size, shuffled within a buffer if wanted."""

# pyright: basic
# pyarrow ships no types; mypy reads it as Any.

from __future__ import annotations

from collections.abc import Generator, Iterator
from random import Random
from typing import Any

import pyarrow as pa

from rhdesk.errors import BadInput


def stream(
    read: Iterator[Any],
    *,
    batch_size: int = 65_536,
    drop_last: bool = False,
    shuffle_seed: int | None = None,
    shuffle_buffer_size: int | None = None,
) -> Generator[Any]:
    """The rows of *read* as record batches of *batch_size* rows.

    In memory is the buffer of the shuffle, which is 16 batches unless it is said; a row leaves it
    only for the batch it is part of.
    """
    if shuffle_seed is not None or shuffle_buffer_size is not None:
        read = _shuffled(read, Random(shuffle_seed), shuffle_buffer_size or 16 * batch_size)
    return _sized(read, batch_size, drop_last=drop_last)


def see_sizes(batch_size: int, shuffle_buffer_size: int | None, prefetch: int) -> None:
    """
    Raises:
        BadInput: One of them is too small to be one.
    """
    if batch_size < 1 or prefetch < 0:
        raise BadInput(
            f"a batch has a row at least: {batch_size}; prefetch is 0 or more: {prefetch}"
        )
    if shuffle_buffer_size is not None and shuffle_buffer_size < 1:
        raise BadInput(f"a shuffle needs a buffer of a row at least, not {shuffle_buffer_size}")


def _shuffled(read: Iterator[Any], random: Random, size: int) -> Iterator[Any]:
    """The rows of each full buffer in random order; half of it stays for the next."""
    held: list[Any] = []
    count = 0
    for batch in read:
        held.append(batch)
        count += batch.num_rows
        if count >= size:
            mixed = _mixed(held, random)
            gone = max(1, count // 2)
            yield mixed.slice(0, gone)
            held, count = [mixed.slice(gone)], count - gone
    if count:
        yield _mixed(held, random)


def _mixed(held: list[Any], random: Random) -> Any:
    table = pa.Table.from_batches(held)
    order = list(range(table.num_rows))
    random.shuffle(order)
    return table.take(order).combine_chunks().to_batches()[0]


def _sized(read: Iterator[Any], size: int, *, drop_last: bool) -> Generator[Any]:
    held: list[Any] = []
    count = 0
    for batch in read:
        held.append(batch)
        count += batch.num_rows
        while count >= size:
            first = held[0]
            if first.num_rows >= size:  # nothing is copied where files and batches agree
                yield first.slice(0, size)
                held[0] = first.slice(size)
            else:
                table = pa.Table.from_batches(held)
                yield table.slice(0, size).combine_chunks().to_batches()[0]
                held = table.slice(size).to_batches()
            count -= size
            held = [each for each in held if each.num_rows]
    if count and not drop_last:
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]
