"""Calls by name over HTTP, at a steady rate, as from people with curl."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any, NamedTuple
from urllib.parse import quote


class Answer(NamedTuple):
    sent_at: float
    """By the monotonic clock, which every process of a machine reads alike."""
    got_at: float
    status: int
    value: Any


class Load:
    """Calls ``POST /call/<name>/<method>`` so many times a second until it is left."""

    def __init__(
        self,
        address: str,
        token: str,
        name: str,
        *,
        method: str = "call",
        rate: int = 100,
        lines: int = 10,
    ) -> None:
        self.answers: list[Answer] = []
        self._address = address
        self._headers = {"authorization": f"Bearer {token}"}
        self._path = f"/call/{quote(name, safe='')}/{method}"
        self._pause_s = lines / rate
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(n * self._pause_s / lines,))
            for n in range(lines)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]

    def after(self, moment: float, count: int = 3, within_s: float = 60) -> list[Any]:
        """Values of the calls sent since *moment*, once there are *count* of them."""
        give_up = time.monotonic() + within_s
        while len(found := self.between(moment, time.monotonic())) < count:
            assert time.monotonic() < give_up, f"{len(found)} answers in {within_s:g} s"
            time.sleep(0.02)
        return found

    def between(self, start: float, end: float) -> list[Any]:
        """Values of the calls sent and answered in this time."""
        answered = [a for a in self.answers if a.status == 200]
        return [a.value for a in answered if start <= a.sent_at and a.got_at <= end]

    def _call(self, delay_s: float) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        due = time.monotonic() + delay_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._pause_s, time.monotonic() - 1)
            sent_at = time.monotonic()
            try:
                connection.request("POST", self._path, b"{}", self._headers)
                answer = connection.getresponse()
                status, value = answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as exc:
                status, value = 0, repr(exc)
                connection.close()
            self.answers.append(Answer(sent_at, time.monotonic(), status, value))
        connection.close()
