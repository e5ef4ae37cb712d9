"""Makes environments: requirements to a lock, a lock to a venv, and then the setup commands.

    <folder>/<hash>/            a venv, named by the hash of its lock        venvs.py
    <folder>/<hash>/setup/      which setup commands ran in it
    <folder>/locks/             what was asked for, and its lock             locks.py
    <folder>/sources/           local projects as they were                  sources.py
    <folder>/turns/             who is building what                         turns.py

Asking again for what is here starts no process and needs no network.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.errors import BadInput, RhdeskError, SetupFailed, StoreUnwritable
from rhdesk.models import Step
from rhdesk_servlet.children import TAIL, Child
from rhdesk_servlet.installer import Uv, environ, explain, is_unreached, news_in, unreached
from rhdesk_servlet.locks import Lock, Remembered, name_of
from rhdesk_servlet.sources import Source, Sources, fingerprint
from rhdesk_servlet.telling import Telling
from rhdesk_servlet.turns import Turn
from rhdesk_servlet.venvs import Venvs

_CONSTRAINT: Final = "constraint:"
_LOOK_AGAIN_S: Final = 0.1
_UNWRITABLE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class Built(msgspec.Struct, frozen=True):
    """An environment that can be used."""

    lock: str
    """Hash of the lock."""
    python: str
    """Path of its interpreter."""
    packages: tuple[str, ...]
    """``name==version``, sorted."""


class EnvBuilder:
    """Builds venvs in *folder*; several processes may share it.

    Args:
        servlet_requirements: What every environment holds beside what is asked for.
        python: The interpreter venvs are made from.
        cache_dir: uv's cache; None leaves it where uv has it.
        uv: The uv program; found when None.
        compile_bytecode: Whether every module is compiled at install, rather than at first import.
        clock: Seconds, from any origin.
        wheels: A folder of them that packages come from instead of an index.
    """

    def __init__(
        self,
        folder: Path,
        servlet_requirements: Sequence[str],
        python: str = sys.executable,
        *,
        cache_dir: Path | None = None,
        uv: Path | None = None,
        compile_bytecode: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wheels: str = "",
    ) -> None:
        self._folder = folder
        self._wheels = ("--no-index", "--find-links", wheels) if wheels else ()
        self._own = tuple(servlet_requirements)
        self._python = python
        self._compile = compile_bytecode
        self._clock = clock
        self._uv = Uv(uv, cache_dir)
        self._venvs = Venvs(folder)
        self._sources = Sources(folder / "sources")
        self._remembered = Remembered(folder / "locks")
        self._target: tuple[str, str] | None = None
        self._is_offline = False

    async def make(
        self,
        *,
        lines: Sequence[str],
        folders: Sequence[str] = (),
        setup_cmds: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        force: bool = False,
    ) -> AsyncGenerator[Step | Built]:
        """Resolve, build and set up, as far as that was not done before; last comes the `Built`.

        Args:
            lines: Requirements as pip reads them; ``constraint:numpy<2`` is a bound.
            folders: Absolute paths of projects to install, with ``[extras]`` perhaps.
            setup_cmds: Shell commands, run once per venv and list of commands.
            force: Resolve, install and set up again.

        Raises:
            BadRequirement: A requirement does not exist, or two do not go together.
            SetupFailed: No network, a package that cannot be built, a setup command that failed.
            StoreUnwritable: *folder* is full or read-only.
        """
        lock: Lock | None = None
        async with aclosing(self.resolve(lines, folders, force=force)) as events:
            async for event in events:
                if isinstance(event, Lock):
                    lock = event
                else:
                    yield event
        if lock is None:
            raise SetupFailed("the requirements were not resolved")
        options = [line for line in lines if line.startswith("-")]
        async with aclosing(self.build(lock, options, force=force)) as steps:
            async for step in steps:
                yield step
        if setup_cmds:
            setup = self.set_up(lock, setup_cmds, env_vars or {}, working_dir, force=force)
            async with aclosing(setup) as steps:
                async for step in steps:
                    yield step
        yield Built(lock.hash, str(self._venvs.python(lock.hash)), lock.packages)

    async def resolve(
        self, lines: Sequence[str], folders: Sequence[str] = (), *, force: bool = False
    ) -> AsyncGenerator[Step | Lock]:
        """Exact versions for what is asked; last comes the `Lock`."""
        tell = Telling("resolve requirements", self._clock)
        yield tell.started()
        self._is_offline = False
        try:
            with self._writing():
                version, machine = await self._interpreter()
                seen = await asyncio.to_thread(lambda: [fingerprint(spec) for spec in folders])
                asked = [*lines, *self._own, *seen, version, machine]
                lock = None if force else self._remembered.find(asked)
                if lock is not None and self._can_build(lock):
                    yield tell.done(f"{_count(lock)}, as before")
                    yield lock
                    return
                found: list[str] = []
                sources = await asyncio.to_thread(
                    lambda: [self._sources.keep(spec) for spec in folders]
                )
                async with aclosing(self._compile_lock(tell, lines, sources, found)) as steps:
                    async for step in steps:
                        yield step
                lock = Lock(tuple(sorted(found)), version, machine)
                self._remembered.keep(asked, lock)
        except RhdeskError as exc:
            yield tell.failed(str(exc))
            raise
        cached = ", as far as cached here: there was no answer from the network"
        yield tell.done(_count(lock) + (cached if self._is_offline else ""))
        yield lock

    async def build(
        self, lock: Lock, options: Sequence[str] = (), *, force: bool = False
    ) -> AsyncGenerator[Step]:
        """See that the venv of *lock* is there and whole.

        Args:
            options: Where packages come from, as in a requirements file.
            force: Install every package again.
        """
        name = lock.hash
        tell = Telling("make venv", self._clock)
        yield tell.started(name)
        if self._venvs.is_whole(name) and not force:
            yield tell.done(f"{name} is already there")
            return
        with self._writing(), self._turn(name) as turn:
            async with aclosing(self._wait(turn, tell)) as steps:
                async for step in steps:
                    yield step
            if self._venvs.is_whole(name) and not force:
                yield tell.done(f"{name} was built meanwhile")
                return
            was_complete = self._venvs.find(name) is not None and self._venvs.python(name).exists()
            try:
                if was_complete:
                    # Mended in place: a servlet may be running in it.
                    yield tell.done(f"{name} is mended")
                else:
                    await asyncio.to_thread(self._venvs.remove, name)
                    async with aclosing(self._make_venv(tell, lock, turn)) as steps:
                        async for step in steps:
                            yield step
                async with aclosing(self._install(lock, options, turn, force=force)) as steps:
                    async for step in steps:
                        yield step
                self._venvs.complete(lock)
            except BaseException:
                if not was_complete:
                    await asyncio.to_thread(shutil.rmtree, self._venvs.path(name), True)
                raise

    async def set_up(
        self,
        lock: Lock,
        commands: Sequence[str],
        env_vars: Mapping[str, str],
        working_dir: str | None,
        *,
        force: bool = False,
    ) -> AsyncGenerator[Step]:
        """Run *commands* in order, unless they ran in this venv before; one that fails ends it.

        Raises:
            SetupFailed: A command did not exit with 0; `output` has its last lines.
        """
        cwd = _folder(working_dir)
        text = "\0".join((str(cwd), *commands))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        marker = self._venvs.path(lock.hash) / "setup" / digest
        with self._writing(), self._turn(lock.hash) as turn:
            tell = Telling("setup", self._clock)
            if not turn.take():
                yield tell.started()
                async with aclosing(self._wait(turn, tell)) as steps:
                    async for step in steps:
                        yield step
                yield tell.done()
            if marker.exists() and not force:
                yield tell.started()
                yield tell.done(f"{len(commands)} commands, as before")
                return
            env = self._setup_environ(lock, env_vars)
            for command in commands:
                async with aclosing(self._set_up_one(command, env, cwd)) as steps:
                    async for step in steps:
                        yield step
            marker.parent.mkdir(exist_ok=True)
            marker.write_text("\n".join(commands), "utf-8")
            # What the commands installed or upgraded is how the venv should be now.
            self._venvs.complete(lock)

    def prune(self, keep: set[str]) -> list[str]:
        """Remove the venvs whose hash is not in *keep*, and what only they needed.

        One that is being built stays. Blocking.

        Returns:
            The hashes removed.
        """
        removed: list[str] = []
        for name in self._venvs.names():
            if name in keep:
                continue
            with self._turn(name) as turn:
                if turn.take():
                    self._venvs.remove(name)
                    turn.remove()
                    removed.append(name)
        self._remembered.keep_only(keep)
        kept = [self._venvs.find(name) for name in self._venvs.names()]
        digests = {
            line.partition(" @ local:")[2]
            for found in kept
            if found is not None
            for line in found.lock.lines
            if " @ local:" in line
        }
        if None not in kept:
            self._sources.prune(digests)
        for place in _abandoned(self._folder):
            shutil.rmtree(place, ignore_errors=True)
        return removed

    def size(self) -> dict[str, int]:
        """Disk each venv takes, in bytes, by hash. Blocking."""
        return {name: self._venvs.size_bytes(name) for name in self._venvs.names()}

    @property
    def started(self) -> int:
        """How many times uv was started."""
        return self._uv.started

    async def _interpreter(self) -> tuple[str, str]:
        """Version and platform of the interpreter venvs are made from."""
        if self._target is None and self._python == sys.executable:
            self._target = (platform.python_version(), sysconfig.get_platform())
        if self._target is None:
            asked = (
                "import platform as p, sysconfig as s; print(p.python_version(), s.get_platform())"
            )
            child = Child([self._python, "-c", asked], cwd=Path.home(), env=environ())
            try:
                async with aclosing(child.lines()) as lines:
                    said = [line async for line in lines]
            except OSError as exc:
                raise SetupFailed(f"no Python at {self._python!r}: {exc}") from exc
            if child.exit_code != 0 or len(said) != 1:
                raise SetupFailed(f"{self._python!r} is no Python", output="\n".join(said))
            version, _, machine = said[0].partition(" ")
            self._target = (version, machine)
        return self._target

    def _can_build(self, lock: Lock) -> bool:
        if self._venvs.is_whole(lock.hash):
            return True
        local = [line for line in lock.lines if " @ local:" in line]
        return all(self._sources.line(line) is not None for line in local)

    async def _compile_lock(
        self, tell: Telling, lines: Sequence[str], sources: Sequence[Source], found: list[str]
    ) -> AsyncGenerator[Step]:
        """Have uv resolve; the lock's lines are added to *found*."""
        self._folder.mkdir(parents=True, exist_ok=True)
        bounds = [line.removeprefix(_CONSTRAINT) for line in lines if line.startswith(_CONSTRAINT)]
        asked = [line for line in lines if not line.startswith(_CONSTRAINT)]
        with tempfile.TemporaryDirectory(prefix=f".{os.getpid()}-", dir=self._folder) as name:
            place = Path(name)
            wanted = [*asked, *self._own, *(source.line for source in sources)]
            _write(place / "requirements.txt", wanted)
            _write(place / "constraints.txt", bounds)
            args = [
                *("pip", "compile", "requirements.txt", "--output-file", "lock.txt"),
                *("--python", self._python, "--no-header", "--no-annotate"),
                *(["--constraints", "constraints.txt"] if bounds else []),
            ]
            async with aclosing(self._run_uv(tell, args, place, asked=asked)) as steps:
                async for step in steps:
                    yield step
            resolved = (place / "lock.txt").read_text("utf-8").splitlines()
        hashes = {
            name_of(line): line.partition(" --hash")[2] for line in asked if " --hash" in line
        }
        for line in resolved:
            if line and not line.startswith(("#", "-", " ")):
                found.append(_locked(line.strip(), sources, hashes))

    async def _make_venv(self, tell: Telling, lock: Lock, turn: Turn) -> AsyncGenerator[Step]:
        place = self._venvs.path(lock.hash)
        args = ("venv", str(place), "--python", self._python, "--no-project")
        try:
            run = self._run_uv(tell, args, self._folder, turn=turn)
            async with aclosing(run) as steps:
                async for step in steps:
                    yield step
        except RhdeskError as exc:
            yield tell.failed(str(exc))
            raise
        yield tell.done(lock.hash)

    async def _install(
        self, lock: Lock, options: Sequence[str], turn: Turn, *, force: bool
    ) -> AsyncGenerator[Step]:
        if not lock.lines:
            return
        tell = Telling(f"install {_count(lock)}", self._clock)
        yield tell.started()
        try:
            with tempfile.TemporaryDirectory(prefix=f".{os.getpid()}-", dir=self._folder) as name:
                place = Path(name)
                wanted = [self._installable(line) for line in lock.lines]
                _write(place / "requirements.txt", [*options, *wanted])
                args = [
                    *("pip", "install", "--requirements", "requirements.txt", "--no-deps"),
                    *("--python", str(self._venvs.python(lock.hash))),
                    *(["--compile-bytecode"] if self._compile else []),
                    *(["--reinstall"] if force else []),
                ]
                run = self._run_uv(tell, args, place, asked=lock.packages, turn=turn)
                async with aclosing(run) as steps:
                    async for step in steps:
                        yield step
        except RhdeskError as exc:
            yield tell.failed(str(exc))
            raise
        yield tell.done()

    def _installable(self, locked: str) -> str:
        if " @ local:" not in locked:
            return locked
        line = self._sources.line(locked)
        if line is None:
            raise SetupFailed(f"the copy of {locked!r} is gone; make the environment again")
        return line

    async def _run_uv(
        self,
        tell: Telling,
        args: Sequence[str],
        cwd: Path,
        *,
        asked: Sequence[str] = (),
        turn: Turn | None = None,
    ) -> AsyncGenerator[Step]:
        """uv with the network, and when no host answers, with what it has cached.

        When the index did not answer while resolving, the install does not wait for it first.

        Raises:
            RhdeskError: Why it failed, see `explain`.
        """
        said: dict[bool, list[str]] = {}
        for offline in (True, False) if self._is_offline else (False, True):
            keep_open = (turn.descriptor,) if turn is not None else ()
            source = self._wheels if args[0] == "pip" else ()
            child = self._uv.child((*args, *source), cwd=cwd, offline=offline, turn=keep_open)
            try:
                async with aclosing(child.lines()) as lines:
                    async for line in lines:
                        if news := news_in(line):
                            yield tell.progress(news)
            except (FileNotFoundError, PermissionError) as exc:
                raise SetupFailed(f"uv could not be started: {exc}") from exc
            if child.exit_code == 0:
                return
            said[offline] = list(child.tail)
            if not offline and not is_unreached(child.tail):
                raise explain(said[offline], asked=asked, own=self._own)
            if not offline:
                self._is_offline = True
                yield tell.progress("no answer from the network; trying with what is cached here")
        built = sum(self._venvs.find(name) is not None for name in self._venvs.names())
        raise unreached(said[False], said[True], built)

    async def _set_up_one(
        self, command: str, env: Mapping[str, str], cwd: Path
    ) -> AsyncGenerator[Step]:
        tell = Telling(f"setup: {command}", self._clock)
        yield tell.started()
        child = Child([shutil.which("bash") or "/bin/sh", "-c", command], cwd=cwd, env=env)
        async with aclosing(child.lines()) as lines:
            async for line in lines:
                yield tell.progress(line)
        if child.exit_code == 0:
            yield tell.done()
            return
        code = child.exit_code or 0
        how = f"exited with {code}" if code > 0 else f"was killed by signal {-code}"
        last = f": {child.tail[-1]}" if child.tail else ""
        yield tell.failed(how + last)
        raise SetupFailed(
            f"the setup command {command!r} {how}{last}", output="\n".join([*child.tail][-TAIL:])
        )

    def _setup_environ(self, lock: Lock, env_vars: Mapping[str, str]) -> dict[str, str]:
        """The venv first on PATH; a pip or uv from outside works on the venv, not on its own."""
        bin_folder, python = (
            self._venvs.path(lock.hash) / "bin",
            str(self._venvs.python(lock.hash)),
        )
        env = {**environ(), **env_vars}
        return {
            **env,
            "PATH": f"{bin_folder}:{env.get('PATH', '/usr/bin:/bin')}",
            "VIRTUAL_ENV": str(bin_folder.parent),
            "PIP_PYTHON": python,
            "UV_PYTHON": python,
        }

    def _turn(self, name: str) -> Turn:
        return Turn(self._folder / "turns" / name)

    async def _wait(self, turn: Turn, tell: Telling) -> AsyncGenerator[Step]:
        told = ""
        while not turn.take():
            if (holder := turn.holder()) != told:
                told = holder
                yield tell.progress(f"waiting for {holder}, which is building it")
            await asyncio.sleep(_LOOK_AGAIN_S)

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Say which folder it was, and what can be done, when the disk refuses."""
        try:
            yield
        except RhdeskError:
            raise
        except OSError as exc:
            if exc.errno not in _UNWRITABLE:
                raise
            raise StoreUnwritable(
                f"environments cannot be stored in {str(self._folder)!r}: {exc.strerror}"
            ) from exc


def _abandoned(folder: Path) -> list[Path]:
    """Working folders, named by pid, whose process is gone."""
    places = [place for place in folder.glob(".*-*") if place.name[1:].partition("-")[0].isdigit()]
    return [p for p in places if processes.find(int(p.name[1:].partition("-")[0])) is None]


def _folder(working_dir: str | None) -> Path:
    cwd = Path(working_dir).expanduser() if working_dir else Path.home()
    if not cwd.is_dir():
        raise BadInput(f"working_dir {working_dir!r} is not a folder on the cluster")
    return cwd


def _write(file: Path, lines: Sequence[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _locked(line: str, sources: Sequence[Source], hashes: Mapping[str, str]) -> str:
    """A line of uv's output as the lock has it."""
    for source in sources:
        if line.endswith((str(source.place), source.place.as_uri())):
            return source.locked
    known = hashes.get(name_of(line), "")
    return f"{line} --hash{known}" if known and "==" in line else line


def _count(lock: Lock) -> str:
    return "1 package" if len(lock.lines) == 1 else f"{len(lock.lines)} packages"
