"""SkyPilot in an environment of its own: made when machines are first asked for, removed with one
command. It pins packages of ours to old versions, and takes seconds to import."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.clusters.steps import did
from rhdesk.errors import SetupFailed
from rhdesk.foreign import clean
from rhdesk.models import Step, StepState

VERSION: Final = "0.14.1"
"""Of SkyPilot. Another one is this line, `api.VERSION`, and the tests of this room."""
_EXTRAS: Final = frozenset(
    (
        *("aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "kubernetes"),
        *("lambda", "mithril", "nebius", "oci", "paperspace", "primeintellect", "runpod", "scp"),
        *("seeweb", "shadeform", "slurm", "ssh", "vast", "verda", "vsphere", "yotta"),
    )
)
"""Providers it has packages for."""


class _Made(msgspec.Struct, frozen=True):
    version: str
    extras: tuple[str, ...]


class Environment:
    """Args:
    folder: ``skypilot`` in the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "env"
        self.python = self.folder / "bin" / "python"

    def made_for(self) -> frozenset[str] | None:
        """The providers it is made for; None when it is not made, or of another version."""
        try:
            made = msgspec.json.decode((self.folder / "made.json").read_bytes(), type=_Made)
        except (OSError, msgspec.DecodeError):
            return None
        return frozenset(made.extras) if made.version == VERSION else None

    async def make(self, providers: Iterable[str]) -> AsyncGenerator[Step]:
        """Make it for *providers*, or add what they need.

        Raises:
            SetupFailed: It cannot be; `output` holds the installer's last lines.
        """
        wanted = frozenset(providers) & _EXTRAS
        made = self.made_for()
        if made is not None and wanted <= made:
            return
        lock = await asyncio.to_thread(self._alone)
        try:
            async with aclosing(self._make(wanted, lock)) as steps:
                async for step in steps:
                    yield step
        finally:
            os.close(lock)

    def _alone(self) -> int:
        """Wait until nobody else makes it. The installer holds the lock too: one whose rhdesk was
        killed is still writing."""
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.folder.parent / "env.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    async def _make(self, wanted: frozenset[str], lock: int) -> AsyncGenerator[Step]:
        made = self.made_for()
        if made is not None and wanted <= made:
            return
        extras = sorted((made or frozenset()) | wanted)
        began = time.monotonic()
        what = f"make SkyPilot {VERSION} ready for {', '.join(extras) or 'any provider'}"
        yield Step(what=what, state=StepState.STARTED, detail=str(self.folder))
        if made is None:
            await asyncio.to_thread(self.remove)
        said: list[str] = []
        names = f"[{','.join(extras)}]" if extras else ""
        for command in self._commands(f"skypilot{names}=={VERSION}"):
            async for line in _lines(command, said, lock):
                elapsed_s = time.monotonic() - began
                yield Step(what=what, state=StepState.PROGRESS, detail=line, elapsed_s=elapsed_s)
        made_now = _Made(version=VERSION, extras=tuple(extras))
        whole_file.write(self.folder / "made.json", [msgspec.json.encode(made_now)])
        yield did(what, str(self.folder), time.monotonic() - began)

    def _commands(self, requirement: str) -> list[list[str]]:
        """What makes it; SkyPilot builds a wheel of itself, so pip is there too."""
        more = [requirement, "pip", "setuptools", "wheel"]
        if find_spec("uv") is None:
            venv = [sys.executable, "-m", "venv", str(self.folder)]
            pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
            return [*([] if self.python.exists() else [venv]), [*pip, *more]]
        uv = [sys.executable, "-P", "-m", "uv"]
        venv = [*uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)]
        # Byte-compiled: without, its first check of a provider takes forty seconds.
        pip = [*uv, "pip", "install", "--compile-bytecode", "--python", str(self.python)]
        return [*([] if self.python.exists() else [venv]), [*pip, *more]]

    def remove(self) -> None:
        """Remove it. What SkyPilot wrote down of machines stays."""
        shutil.rmtree(self.folder, ignore_errors=True)


async def _lines(command: list[str], said: list[str], lock: int) -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(lock,),
    )
    assert process.stdout is not None, "asked for"
    try:
        async for line in process.stdout:
            text = clean(line.decode("utf-8", "replace").strip())
            if text:
                said.append(text)
                yield text
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        text = "\n".join(said[-30:])
        if any(word in text for word in ("dns error", "Connection", "connect", "resolve host")):
            raise SetupFailed(
                "SkyPilot, which brings machines up, is not installed yet, and no package index "
                "answers from here. Connect to a network once and try again",
                output=text,
            )
        raise SetupFailed(
            f"SkyPilot cannot be installed: {said[-1] if said else code}", output=text
        )
