"""Many files between this machine and a host, over one line: no file waits for an answer.

What is there with the same hash is spared, and what an earlier copy left of a file is gone on from,
once its hash is that of as much of the source. Blocking.
"""

from __future__ import annotations

import inspect
import json
import posixpath
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final, NamedTuple, cast

from rhdesk.data import carrying
from rhdesk.data.faults import told
from rhdesk.data.on_host import OnHost, Talks
from rhdesk.errors import BadInput, ConnectionFailed
from rhdesk.foreign import clean

_PROGRAM: Final = inspect.getsource(carrying) + "\n\nserve()\n"
_BUFFER: Final = 1 << 18
_ASKED_AT_ONCE: Final = 256
"""Hashes asked for in one question; between two of them it can be stopped."""


class Carried(NamedTuple):
    """One file on its way."""

    source: str
    target: str
    part: str
    """What it is until it is whole; beside the target, and the same for every try."""
    size: int


class Carrier:
    """One copy.

    Args:
        stop_if_told: Called often; what it raises ends the copy.
        tell: Hears of which file how many bytes have gone.
        done: Hears of each file how many bytes went, and whether it was there already.

    Raises:
        NotThere: The host has no Python for it.
    """

    def __init__(
        self,
        host: OnHost,
        *,
        stop_if_told: Callable[[], object],
        tell: Callable[[str, int], object],
        done: Callable[[int, bool], object],
    ) -> None:
        self._talks = host.start(_PROGRAM)
        self._reading = self._talks.rest()
        self._stop_if_told, self._tell, self._done = stop_if_told, tell, done

    def close(self) -> None:
        self._talks.close()

    def put(self, files: Sequence[Carried]) -> None:
        """From here to the host."""
        seen = self._ask(do="seen", paths=[p for f in files for p in (f.target, f.part)])["seen"]
        there = [size for size, _ in seen[::2]]
        left = [size for size, _ in seen[1::2]]
        wanted = self._wanted(files, there, left, is_put=True)
        count = 0
        try:
            self._say(do="take")
            sending = _Sending(self._talks)
            for file, start in wanted:
                with told(file.source), open(file.source, "rb", 0) as opened:
                    opened.seek(start)
                    mode = carrying.seen(file.source)[1]
                    head = {"path": file.target, "part": file.part, "start": start, "mode": mode}
                    read = cast("BinaryIO", opened)
                    sent = carrying.send(sending.write, head, read, self._heard(file))
                self._done(sent, False)
                count += 1
            sending.write(b"{}\n")
            sending.flush()
        except ConnectionFailed:
            self._answer()  # says why it takes no more, if it still could
            raise
        if self._answer()["count"] != count:
            raise ConnectionFailed("the host wrote fewer files than were sent; copy them again")

    def get(self, files: Sequence[Carried]) -> None:
        """From the host to here."""
        there, left = [], []
        for file in files:
            with told(file.target):
                there.append(carrying.seen(file.target)[0])
                left.append(carrying.seen(file.part)[0])
        wanted = self._wanted(files, there, left, is_put=False)
        self._say(do="give", paths=[(file.source, start) for file, start in wanted])
        for file, start in wanted:
            head = self._answer()
            try:
                with told(file.target):
                    came = carrying.receive(
                        self._reading, file.target, file.part, start, head["mode"],
                        self._heard(file),
                    )  # fmt: skip
            except carrying.Cut as exc:
                raise ConnectionFailed(f"{file.source} broke off: {exc}; copy it again") from exc
            self._done(came, False)
        self._answer()

    def _wanted(
        self, files: Sequence[Carried], there: list[int], left: list[int], *, is_put: bool
    ) -> list[tuple[Carried, int]]:
        """Files that are to go, each with how much of it an earlier copy has taken there."""
        for file, size in zip(files, there, strict=True):
            if size == -2:
                raise BadInput(
                    f"{file.source} is a file, and {file.target} is none; nothing there was touched"
                )
        alike = [f for f, size in zip(files, there, strict=True) if size == f.size]
        same = self._same([(f.source, f.target, f.size) for f in alike], is_put=is_put)
        spared = {file for file, is_same in zip(alike, same, strict=True) if is_same}
        for _ in spared:
            self._done(0, True)
        begun = [
            (file, size)
            for file, size in zip(files, left, strict=True)
            if 0 < size <= file.size and file not in spared
        ]
        right = self._same([(f.source, f.part, size) for f, size in begun], is_put=is_put)
        starts = {f: size for (f, size), is_right in zip(begun, right, strict=True) if is_right}
        return [(file, starts.get(file, 0)) for file in files if file not in spared]

    def _same(self, pairs: list[tuple[str, str, int]], *, is_put: bool) -> list[bool]:
        """Whether the first bytes of a source and of a target are the same, by their hashes."""
        found: list[bool] = []
        for at in range(0, len(pairs), _ASKED_AT_ONCE):
            some = pairs[at : at + _ASKED_AT_ONCE]
            far = [(target if is_put else source, size) for source, target, size in some]
            self._say(do="hashes", paths=far)  # the host works while this machine does
            here: list[str] = []
            for source, target, size in some:
                self._stop_if_told()
                near = source if is_put else target
                with told(near):
                    here.append(carrying.sha256(near, size))
            hashes = self._answer()["hashes"]
            found += [one == other for one, other in zip(here, hashes, strict=True)]
        return found

    def _heard(self, file: Carried) -> Callable[[int], object]:
        name = posixpath.basename(file.source)

        def heard(gone: int) -> None:
            self._stop_if_told()
            self._tell(name, gone)

        return heard

    def _ask(self, **asked: Any) -> dict[str, Any]:
        self._say(**asked)
        return self._answer()

    def _say(self, **asked: Any) -> None:
        sending = _Sending(self._talks)
        sending.write(json.dumps(asked).encode() + b"\n")
        sending.flush()

    def _answer(self) -> dict[str, Any]:
        """
        Raises:
            NotFound, BadInput, StoreUnwritable, ...: What went wrong there.
        """
        try:
            answer = carrying.head_of(self._reading)
        except (carrying.Cut, OSError, ValueError) as exc:
            raise ConnectionFailed(f"the line to the host broke: {exc}; copy it again") from exc
        if "failed" in answer:
            words = clean(str(answer["failed"]))
            with told(clean(str(answer.get("path") or "the host"))):
                raise OSError(int(answer.get("errno") or 0), words)
        return answer


class _Sending:
    """Small writes are put together: each would be a packet of its own."""

    def __init__(self, talks: Talks) -> None:
        self._talks = talks
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        self._talks.send(bytes(self._held))
        self._held.clear()
