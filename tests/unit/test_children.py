"""Commands read line by line: what they print, how they end, and what ends with them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from rhdesk_servlet.children import Child


async def lines_of(child: Child) -> list[str]:
    async with aclosing(child.lines()) as lines:
        return [line async for line in lines]


def shell(command: str, folder: Path, *, keep: int = 40) -> Child:
    return Child(["/bin/sh", "-c", command], cwd=folder, env=dict(os.environ), keep=keep)


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("echo one; echo two >&2; printf three", ["one", "two", "three"]),
        ("printf '10%%\\r20%%\\r\\n\\nnext\\n'", ["10%", "20%", "next"]),
        ("printf '\\033[31mred\\033[0m \\033]52;c;eA==\\007 \\000 \\377'", ["red  \u2400 \ufffd"]),
        ("sleep 0.3; echo late", ["late"]),
    ],
)
async def test_lines_come_without_control_bytes(
    command: str, lines: Sequence[str], tmp_path: Path
) -> None:
    child = shell(command, tmp_path)
    assert await lines_of(child) == lines
    assert child.exit_code == 0


async def test_a_long_line_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    child = shell("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next", tmp_path)
    long, after = await lines_of(child)
    assert (len(long), after) == (4096, "next")


async def test_the_last_lines_are_kept(tmp_path: Path) -> None:
    child = shell("for i in 1 2 3 4 5; do echo $i; done; kill -9 $$", tmp_path, keep=2)
    await lines_of(child)
    assert (list(child.tail), child.exit_code) == (["4", "5"], -9)


async def test_a_daemon_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    child = shell("sleep 5 & echo $!", tmp_path)
    (pid,) = await lines_of(child)
    assert time.monotonic() - began < 2
    assert child.exit_code == 0
    os.kill(int(pid), 9)


async def test_a_reader_that_leaves_ends_everything_the_command_started(tmp_path: Path) -> None:
    child = shell("sleep 60 & echo $!; echo $$; wait", tmp_path)
    pids: list[int] = []
    async with aclosing(child.lines()) as lines:
        async for line in lines:
            pids.append(int(line))
            if len(pids) == 2:
                break
    assert not any(_runs(pid) for pid in pids)


async def test_a_program_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await lines_of(Child([str(tmp_path / "none")], cwd=tmp_path, env={}))


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
