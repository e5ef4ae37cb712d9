"""A table of 1 GB streamed from a machine, next to Arrow Flight; and read here, next to pyarrow.

    python -m benchmarks.table_stream [megabytes]

The machine is a host of the testbed with a network of its own, so it needs root. Flight is served
by the same Python on the same host and asked by this process, for the same files and batches: through a
tunnel of OpenSSH, as nothing on a machine listens to more than itself, and without a cipher straight
to its port. Every round takes the three one after the other.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, create_server
from time import perf_counter
from typing import Self

import numpy
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.flight as flight
import pyarrow.parquet as pq

from rhdesk.blocking import Desk
from tests.testbed.hosts import Host, bed
from tests.testbed.pythons import give

ROUNDS = 3
BATCH = 65_536
FLIGHT_GOAL = 0.60
LOCAL_GOAL = 1.10
PORT = 8815

_SERVER = f"""
import sys, resource, pyarrow as pa, pyarrow.dataset as ds, pyarrow.flight as flight
class Server(flight.FlightServerBase):
    def do_get(self, context, ticket):
        table = ds.dataset(ticket.ticket.decode(), format="parquet")
        found = table.to_batches(batch_size={BATCH}, batch_readahead=4, fragment_readahead=1)
        return flight.GeneratorStream(table.schema, found)
server = Server("grpc://0.0.0.0:{PORT}")
print("ready", flush=True)
server.serve()
"""


def make(folder: Path, megabytes: int) -> int:
    """Four files of random numbers, which no codec makes smaller; how many bytes they are."""
    folder.mkdir(parents=True)
    rows = megabytes * 1_000_000 // 32
    for number in range(4):
        random = numpy.random.default_rng(number)
        with pq.ParquetWriter(folder / f"part-{number}.parquet", _schema()) as writer:
            for _ in range(0, rows // 4, 250_000):
                columns = [random.random(250_000) for _ in range(4)]
                writer.write_table(pa.table(columns, schema=_schema()))
    return sum(file.stat().st_size for file in folder.iterdir())


def _schema() -> pa.Schema:
    return pa.schema([(name, pa.float64()) for name in "abcd"])


def _seconds(read: Callable[[], int], rows: int) -> float:
    gc.collect()
    began = perf_counter()
    seen = read()
    took = perf_counter() - began
    assert seen == rows, (seen, rows)
    return took


def _of_flight(address: str, path: str) -> int:
    with flight.connect(f"grpc://{address}") as client:
        reader = client.do_get(flight.Ticket(path.encode()))
        return sum(chunk.data.num_rows for chunk in reader)


def _of_desk(desk: Desk, path: str) -> int:
    return sum(batch.num_rows for batch in desk.stream_table(path, batch_size=BATCH))


def _of_pyarrow(path: str) -> int:
    return sum(batch.num_rows for batch in ds.dataset(path).to_batches(batch_size=BATCH))


@contextmanager
def _flight(host: Host) -> Iterator[None]:
    python = "/root/.rhdesk/venvs/0123456789abcdef/bin/python"
    serving = threading.Thread(
        target=host.exec, args=(python, "-c", _SERVER), kwargs={"check": False}, daemon=True
    )
    serving.start()
    while f"0.0.0.0:{PORT}" not in host.listening():
        assert serving.is_alive(), "Flight did not start"
    yield


@contextmanager
def _tunnel(host: Host, config: Path) -> Iterator[int]:
    """A port of OpenSSH's here that leads to Flight's."""
    with create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    forward = f"{port}:127.0.0.1:{PORT}"
    tunnel = subprocess.Popen(["ssh", "-F", str(config), "-N", "-L", forward, host.name])
    try:
        while True:
            try:
                create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert tunnel.poll() is None, "the tunnel ended"
                time.sleep(0.05)
        yield port
    finally:
        tunnel.terminate()
        tunnel.wait()


class Peak:
    """The most that a process, or whatever matches on a host, held while it was watched."""

    def __init__(self, pids: Callable[[], Iterable[int | str]]) -> None:
        self._pids, self.mb = pids, 0.0
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for pid in self._pids():
                with suppress(OSError, IndexError):
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    self.mb = max(self.mb, pages * 4096 / 1e6)


def _readers(host: Host) -> list[int]:
    found = []
    for pid in host.pids():
        with suppress(OSError):
            if b"serve()" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def measure(megabytes: int) -> bool:
    with bed() as network, tempfile.TemporaryDirectory(prefix="rhdesk-") as home:
        host = network.host("gpubox")
        network.ssh_home(Path(home))
        give(host, "pyarrow")
        size = make(host.root / "root" / "rows", megabytes)
        rows = ds.dataset(str(host.root / "root" / "rows")).count_rows()
        config = Path(home) / ".ssh" / "config"
        config.write_text(f"UserKnownHostsFile {home}/.ssh/known_hosts\n{config.read_text()}")
        os.environ |= {"HOME": home, "RHDESK_DATA_DIR": f"{home}/data"}
        print(f"{rows:,} rows of 4 float64, {size / 1e6:,.0f} MB of parquet in 4 files")
        with Desk() as desk, _flight(host), _tunnel(host, config) as port:
            far = _far(desk, host, rows, port)
            near = _near(desk, host, rows)
        return far and near


def _far(desk: Desk, host: Host, rows: int, port: int) -> bool:
    of_file = "/root/rows"
    ways: dict[str, Callable[[], int]] = {
        "rhdesk": lambda: _of_desk(desk, f"gpubox:{of_file}"),
        "Flight through OpenSSH": lambda: _of_flight(f"127.0.0.1:{port}", of_file),
        "Flight without a cipher": lambda: _of_flight(f"{host.address}:{PORT}", of_file),
    }
    _of_desk(desk, f"gpubox:{of_file}")
    before = _resident_mb()
    with Peak(lambda: ["self"]) as here, Peak(lambda: _readers(host)) as there:
        took = _rounds({"rhdesk": ways["rhdesk"]}, rows)
    print(
        f"memory here {before:.0f} MB before, {here.mb:.0f} at most; there {there.mb:.0f} at most"
    )
    took = _rounds(ways, rows)
    for name, seconds in took.items():
        print(f"{name:24} {seconds:6.2f} s  {rows * 32 / 1e6 / seconds:6.0f} MB/s")
    ratio = took["Flight through OpenSSH"] / took["rhdesk"]
    plain = took["Flight without a cipher"] / took["rhdesk"]
    print(f"rate of Flight through OpenSSH: {ratio:.2f}   at least {FLIGHT_GOAL}")
    print(f"rate of Flight without a cipher: {plain:.2f}")
    return ratio >= FLIGHT_GOAL


def _near(desk: Desk, host: Host, rows: int) -> bool:
    path = str(host.root / "root" / "rows")
    took = _rounds(
        {"rhdesk": lambda: _of_desk(desk, path), "pyarrow": lambda: _of_pyarrow(path)}, rows
    )
    ratio = took["rhdesk"] / took["pyarrow"]
    print(f"here: rhdesk {took['rhdesk']:.2f} s, pyarrow.dataset {took['pyarrow']:.2f} s")
    print(f"time of pyarrow.dataset: {ratio:.2f}   at most {LOCAL_GOAL}")
    return ratio <= LOCAL_GOAL


def _rounds(ways: dict[str, Callable[[], int]], rows: int) -> dict[str, float]:
    """Median seconds of each, taken in turn."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, read in ways.items():
            took[name].append(_seconds(read, rows))
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> int:
    return 0 if measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000) else 1


if __name__ == "__main__":
    sys.exit(main())
