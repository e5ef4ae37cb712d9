"""Values survive the wire exactly, large ones uncopied, and only pickles need trust."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.errors import BadInput, CannotSend
from rhdesk.wire.frames import Frame, FrameReader, Kind, frame
from rhdesk.wire.payload import Payload, is_plain, map_pieces

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)
ANY = PLAIN | st.binary() | st.tuples(PLAIN, PLAIN) | st.sets(st.integers())


@given(st.lists(ANY, max_size=4), st.dictionaries(st.text(max_size=5), ANY, max_size=3))
def test_arguments_come_back_equal_and_of_the_same_types(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    again = Payload.read(Payload.of_call(args, kwargs).to_bytes()).call(may_unpickle=True)
    assert again == (args, kwargs)
    assert [type(each) for each in again[0]] == [type(each) for each in args]


@given(PLAIN)
def test_what_is_plain_needs_no_trust(value: Any) -> None:
    payload = Payload.of_result(value)
    assert payload.encodings == {"plain"}
    assert Payload.read(payload.to_bytes()).result(may_unpickle=False) == value


@pytest.mark.parametrize("value", [(1,), {1}, 2**63, [1, (2,)], {1: 2}, b"x", object])
def test_what_msgpack_would_change_is_not_plain(value: object) -> None:
    assert not is_plain(value)


def test_a_pickle_is_not_opened_without_trust() -> None:
    payload = Payload.read(Payload.of_result({1, 2}).to_bytes())
    with pytest.raises(CannotSend, match="only a Python program may open"):
        payload.result(may_unpickle=False)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "?", "c16"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
def test_arrays_travel_as_one_buffer(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    payload = Payload.of_result(array)
    assert payload.encodings == {"tensor"}
    again = Payload.read(payload.to_bytes()).result(may_unpickle=False)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert (again == array).all()


def test_a_large_array_is_not_copied_into_the_head() -> None:
    array = np.zeros(1_000_000)
    pieces = Payload.of_call([array], {}).pieces()
    assert any(isinstance(p, memoryview) and p.nbytes == array.nbytes for p in pieces)
    assert len(pieces[0]) < 200


def test_arrays_inside_other_things_stay_out_of_band() -> None:
    payload = Payload.of_result({"weights": np.zeros(100_000), "note": (1, 2)})
    assert max(payload.head.lengths) == 800_000
    again = Payload.read(payload.to_bytes()).result(may_unpickle=True)
    assert (again["weights"] == 0).all()


def test_tables_travel_as_arrow() -> None:
    table = pa.table({"x": [1, 2, None], "y": ["a", "b", None]})
    payload = Payload.of_result(table)
    assert payload.encodings == {"arrow"}
    assert Payload.read(payload.to_bytes()).result(may_unpickle=False).equals(table)


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(CannotSend, match="argument 2 of type lock"):
        Payload.of_call([1, threading.Lock()], {})
    with pytest.raises(CannotSend, match="argument 'lock' of type lock"):
        Payload.of_call([], {"lock": threading.Lock()})


@given(st.binary(max_size=200))
def test_bytes_that_are_no_payload_are_refused_not_misread(data: bytes) -> None:
    try:
        Payload.read(data)
    except BadInput:
        return


@given(st.data())
def test_a_payload_cut_short_is_refused(data: st.DataObject) -> None:
    whole = Payload.of_call([b"x" * 100, "y"], {"z": 1}).to_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BadInput):
        Payload.read(whole[:cut])


def test_a_map_says_the_length_of_each_item() -> None:
    pieces = map_pieces([Payload.of_call([n], {}) for n in range(3)])
    assert len(pieces) == 4
    assert len(pieces[0]) == 12


@given(
    st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=50))), st.integers(1, 20)
)
def test_frames_are_cut_whatever_pieces_they_arrive_in(
    sent: list[tuple[Kind, bytes]], step: int
) -> None:
    stream = b"".join(b"".join(frame(kind, body)) for kind, body in sent)
    reader = FrameReader()
    got: list[Frame] = []
    for at in range(0, len(stream), step):
        got.extend(reader.feed(stream[at : at + step]))
    assert [(each.kind, bytes(each.body)) for each in got] == sent
