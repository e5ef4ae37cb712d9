"""``make bench``: rhdesk beside its peers, in one run on one cluster.

Every line is a ratio of two medians taken in turn, so that a machine that speeds up or slows down
does so for both. It brings `here` up, and leaves it as it found it.
"""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import rhdesk as rh
from rhdesk.config import Settings

SIZE = 100_000_000


def main() -> None:
    was_up = rh.here.is_up()
    began = time.perf_counter()
    rh.here.up()
    if not was_up:
        print(f"up from nothing                     {time.perf_counter() - began:8.2f} s")
    try:
        _env_start()
        _driver()
        _calls()
        _map()
        _transfers()
        _imports()
    finally:
        if not was_up:
            rh.here.teardown()


def add(x: int) -> int:
    return x + 1


def same(x: Any) -> Any:
    return x


def version() -> str:
    import importlib.metadata

    return importlib.metadata.version("six")


def _env_start() -> None:
    began = time.perf_counter()
    f = rh.function(version).to("here", env=rh.env(name="bench-env", reqs=["six"]))
    made = time.perf_counter()
    f()
    print(f"environment made and its servlet up {made - began:8.2f} s")
    print(f"first call in it                    {(time.perf_counter() - made) * 1e3:8.1f} ms")


def _driver() -> None:
    """Connect this process to the cluster's own Ray, as any driver would."""
    folder = Settings.load().data_dir / "clusters" / "here"
    started = msgspec.json.decode((folder / "cluster.json").read_bytes())
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray-token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    import ray

    ray.init(address=f"127.0.0.1:{started['ray_port']}", log_to_driver=False, logging_level=40)


def _calls() -> None:
    import ray

    @ray.remote(num_cpus=0)
    class Adder:
        def add(self, x: int) -> int:
            return x + 1

    actor = Adder.remote()  # type: ignore[attr-defined]
    f = rh.function(add).to("here")
    ours, theirs = _in_turn(
        lambda: f(1), lambda: ray.get(actor.add.remote(1)), rounds=20, each=100
    )
    _ratio("warm call, p50", _at(ours, 0.5) * 1e3, _at(theirs, 0.5) * 1e3, "ms", "Ray actor call")
    _ratio(
        "warm call, p99", _at(ours, 0.99) * 1e3, _at(theirs, 0.99) * 1e3, "ms", "Ray actor call"
    )


def _map() -> None:
    import ray

    remote = ray.remote(num_cpus=1)(add)
    f = rh.function(add).to("here")
    items = list(range(1000))
    ours, theirs = _in_turn(
        lambda: f.map(items),
        lambda: ray.get([remote.remote(i) for i in items]),
        rounds=5,
        each=1,
    )
    _ratio("1,000 map items of no work", _at(ours, 0.5), _at(theirs, 0.5), "s", "ray.get of tasks")


def _transfers() -> None:
    import numpy as np

    f = rh.function(same).to("here")
    data = os.urandom(SIZE)
    array = np.frombuffer(data, dtype="float64")
    with _Echo() as echo:
        for name, value in (("100 MB of bytes", data), ("100 MB float64 array", array)):
            ours, theirs = _in_turn(partial(f, value), partial(echo.send, data), rounds=7, each=1)
            rate = _at(theirs, 0.5) / _at(ours, 0.5)
            took = f"{_at(ours, 0.5):.3f} s against {_at(theirs, 0.5):.3f} s"
            print(f"{name + ' out and back':<36}{rate:8.0%} of a bare HTTP transfer ({took})")


def _imports() -> None:
    floor = _process("-c", "pass")
    for name, *command in (
        ("import rhdesk", "-c", "import rhdesk"),
        ("rhdesk --help", "-m", "rhdesk.cli", "--help"),
        ("rhdesk status", "-m", "rhdesk.cli", "status"),
        ("rhdesk ls, 10,000 names", "-m", "rhdesk.cli", "ls", "--json"),
    ):
        cwd = _ten_thousand_names() if "10,000" in name else None
        took = _process(*command, cwd=cwd)
        _ratio(name, took * 1e3, floor * 1e3, "ms", "python -c pass")


def _ten_thousand_names() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rhdesk-bench-"))
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for number in range(10_000):
        place = folder / "rh" / f"name-{number:05d}"
        place.mkdir(parents=True)
        config = {
            "name": f"~/name-{number:05d}",
            "resource_type": "blob",
            "resource_subtype": "Blob",
        }
        (place / "config.json").write_bytes(msgspec.json.encode(config))
    return folder


def _process(*args: str, cwd: Path | None = None) -> float:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times: list[float] = []
    for _ in range(8):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, *args], check=True, stdout=subprocess.DEVNULL, env=environ, cwd=cwd
        )
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


class _Echo:
    """The same server and client libraries with nothing of ours between them."""

    def __enter__(self) -> _Echo:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "echo"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().strip()
        self._connection = http.client.HTTPConnection(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()

    def send(self, data: bytes) -> bytes:
        self._connection.request("POST", "/", data)
        return self._connection.getresponse().read()


async def _serve_echo() -> None:
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = [], True
        while more:
            message = await receive()
            body.append(message.get("body", b""))
            more = message.get("more_body", False)
        data = b"".join(body)
        headers = [(b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="error")
    await uvicorn.Server(config).serve([listener])


def _in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, each: int
) -> tuple[list[float], list[float]]:
    for _ in range(max(2, each // 10)):
        ours()
        theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for which, call in enumerate((ours, theirs)):
            for _ in range(each):
                began = time.perf_counter()
                call()
                times[which].append(time.perf_counter() - began)
    return times


def _at(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def _ratio(name: str, ours: float, theirs: float, unit: str, peer: str) -> None:
    print(f"{name:<36}{ours:8.3f} {unit}, {ours / theirs:.2f} of a {peer} ({theirs:.3f} {unit})")


if __name__ == "__main__":
    if sys.argv[1:] == ["echo"]:
        import uvloop

        uvloop.run(_serve_echo())
    else:
        main()
