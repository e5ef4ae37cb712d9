"""Values on the wire: arguments out, results back.

A payload is a head and buffers. The head (msgpack) says how each value is encoded; buffers follow
it uncopied, so that 100 MB of array cost no pickling on either side::

    u32 head length | head | padding to 64 | buffer | padding to 64 | buffer ...

Encodings, first that fits:

* ``plain``    None, bool, int (64 bit), float, str, and lists and dicts of them: msgpack
* ``bytes``    bytes, as one buffer
* ``tensor``   a numpy array of numbers, C-contiguous: dtype, shape, one buffer
* ``arrow``    a pyarrow Table or RecordBatch: one Arrow IPC stream
* ``pickle``   everything else: pickle protocol 5 with its buffers out of band

Everything but ``pickle`` can be read by anybody; a reader says whether it may open pickles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from rhdesk.errors import BadInput, CannotSend
from rhdesk.wire import pickles
from rhdesk.wire.pickles import Buffer

_ALIGN: Final = 64
_PLAIN_NODES: Final = 2_000
"""A container with more members than this is not walked to see whether it is plain."""
_INT64: Final = 1 << 63
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode


class Value(msgspec.Struct, frozen=True, array_like=True):
    """One encoded value: how, what belongs to it in the head, and how many buffers are its."""

    encoding: str
    meta: Any = None
    buffers: int = 0


class Head(msgspec.Struct, frozen=True, array_like=True):
    args: tuple[Value, ...]
    kwargs: dict[str, Value]
    lengths: tuple[int, ...]
    """Bytes of each buffer, in order."""


_read_head = msgspec.msgpack.Decoder(Head).decode


class Payload:
    """Encoded arguments, or one encoded result (a payload with one positional value)."""

    __slots__ = ("buffers", "head")

    def __init__(self, head: Head, buffers: Sequence[Buffer]) -> None:
        self.head = head
        self.buffers = buffers

    @classmethod
    def of_call(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
        """Encode arguments.

        Raises:
            CannotSend: One of them cannot be pickled; the message names it.
        """
        buffers: list[Buffer] = []
        encoded = tuple(_put(arg, buffers, f"argument {n + 1}") for n, arg in enumerate(args))
        named = {key: _put(arg, buffers, f"argument {key!r}") for key, arg in kwargs.items()}
        return cls(Head(encoded, named, tuple(_nbytes(b) for b in buffers)), buffers)

    @classmethod
    def of_result(cls, value: Any, what: str = "the result") -> Payload:
        buffers: list[Buffer] = []
        encoded = (_put(value, buffers, what),)
        return cls(Head(encoded, {}, tuple(_nbytes(b) for b in buffers)), buffers)

    def call(self, *, may_unpickle: bool) -> tuple[list[Any], dict[str, Any]]:
        """The arguments.

        Raises:
            CannotSend: A value is a pickle and *may_unpickle* is false.
        """
        rest = iter(self.buffers)
        args = [_get(value, rest, may_unpickle) for value in self.head.args]
        return args, {k: _get(v, rest, may_unpickle) for k, v in self.head.kwargs.items()}

    def result(self, *, may_unpickle: bool) -> Any:
        return self.call(may_unpickle=may_unpickle)[0][0]

    @property
    def encodings(self) -> set[str]:
        return {v.encoding for v in (*self.head.args, *self.head.kwargs.values())}

    def pieces(self) -> list[Buffer]:
        """The bytes, as pieces to be written one after another."""
        head = _encode(self.head)
        pieces: list[Buffer] = [struct.pack("<I", len(head)) + head]
        at = len(pieces[0])
        for buffer in self.buffers:
            if gap := -at % _ALIGN:
                pieces.append(bytes(gap))
            pieces.append(buffer)
            at += gap + _nbytes(buffer)
        return pieces

    def to_bytes(self) -> bytes:
        return b"".join(self.pieces())

    @classmethod
    def read(cls, data: Buffer) -> Payload:
        """Read a payload; buffers are views into *data*, not copies.

        Raises:
            BadInput: *data* is not a payload.
        """
        view = memoryview(data)
        try:
            (length,) = struct.unpack_from("<I", view)
            head = _read_head(view[4 : 4 + length])
        except (struct.error, msgspec.DecodeError) as exc:
            raise BadInput(f"not a payload: {exc}") from exc
        at = 4 + length
        buffers: list[Buffer] = []
        for nbytes in head.lengths:
            at += -at % _ALIGN
            buffers.append(view[at : at + nbytes])
            at += nbytes
        if at > view.nbytes or sum(v.buffers for v in _values(head)) != len(buffers):
            raise BadInput("not a payload: shorter than its head says")
        return cls(head, buffers)

    def digest(self) -> str:
        """SHA-256 of the bytes: equal arguments have equal digests."""
        hashed = sha256()
        for piece in self.pieces():
            hashed.update(piece)
        return hashed.hexdigest()


def map_pieces(payloads: Sequence[Payload]) -> list[Buffer]:
    """The body of a map: the length of each item's payload, then the payloads."""
    bodies = [payload.to_bytes() for payload in payloads]
    return [struct.pack(f"<{len(bodies)}I", *map(len, bodies)), *bodies]


def size(pieces: Iterable[Buffer]) -> int:
    """Bytes in all *pieces* together."""
    return sum(_nbytes(piece) for piece in pieces)


def is_plain(value: Any) -> bool:
    """Whether msgpack returns exactly what it was given (tuples, sets, big ints do not)."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return True
    if kind is str:
        return _is_text(value)
    if kind is int:
        return bool(-_INT64 <= value < _INT64)
    return _is_plain_container(value, [_PLAIN_NODES])


def _is_plain_container(value: Any, left: list[int]) -> bool:
    kind = type(value)
    if kind is list:
        members: Iterable[Any] = value
    elif kind is dict:
        if any(type(key) is not str or not _is_text(key) for key in value):
            return False
        members = value.values()
    else:
        return False
    left[0] -= len(value)
    if left[0] < 0:
        return False
    for member in members:
        of = type(member)
        if of is float or of is bool or member is None:
            continue
        if of is str:
            if not _is_text(member):
                return False
        elif of is int:
            if not -_INT64 <= member < _INT64:
                return False
        elif not _is_plain_container(member, left):
            return False
    return True


def _is_text(value: str) -> bool:
    """Whether it is whole characters: half of one, as in the name of a file that is not UTF-8, is
    a string in Python only."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _put(value: Any, buffers: list[Buffer], what: str) -> Value:
    if is_plain(value):
        return Value("plain", value)
    kind = type(value)
    if kind is bytes:
        buffers.append(value)
        return Value("bytes", None, 1)
    module = kind.__module__
    if module == "numpy" and kind.__name__ == "ndarray" and value.dtype.kind in "biufc":
        if value.flags.c_contiguous and value.dtype.isnative:
            buffers.append(memoryview(value.reshape(-1)).cast("B") if value.size else b"")
            return Value("tensor", [value.dtype.str, list(value.shape)], 1)
    elif module == "pyarrow.lib" and kind.__name__ in {"Table", "RecordBatch"}:
        from rhdesk.wire import arrow  # deferred: only who sends tables has it

        buffers.append(arrow.to_stream(value))
        return Value("arrow", kind.__name__, 1)
    data, out_of_band = pickles.dumps(value, what=what)
    buffers.append(data)
    buffers.extend(out_of_band)
    return Value("pickle", None, 1 + len(out_of_band))


def _get(value: Value, rest: Any, may_unpickle: bool) -> Any:
    if value.encoding == "plain":
        return value.meta
    mine: list[Buffer] = [next(rest) for _ in range(value.buffers)]
    if value.encoding == "bytes":
        return bytes(mine[0])
    if value.encoding == "tensor":
        import numpy  # deferred: only who sends arrays has it

        dtype, shape = value.meta
        return numpy.frombuffer(mine[0], dtype=dtype).reshape(shape)
    if value.encoding == "arrow":
        from rhdesk.wire import arrow

        return arrow.from_stream(mine[0], value.meta)
    if value.encoding != "pickle":
        raise CannotSend(
            f"a value is encoded as {value.encoding!r}, which this rhdesk cannot read"
        )
    if not may_unpickle:
        raise CannotSend(
            "the value is a Python object that only a Python program may open; "
            "fetch it with rhdesk in Python"
        )
    return pickles.loads(mine[0], mine[1:])


def _values(head: Head) -> tuple[Value, ...]:
    return (*head.args, *head.kwargs.values())


def _nbytes(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
