"""What is installed on a host: resolved here for its Python and platform, fetched here once.

uv resolves, pip fetches: pip alone fetches wheels of another platform without installing them. What
was fetched is kept, so that the next host needs no network at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import BadRequirement, SetupFailed
from rhdesk.foreign import clean

_OWN: Final = ("ray", "cloudpickle", "uvicorn", "httptools", "uvloop", "msgspec", "uv")
"""What the servlets are made of, in the versions of this desk: both sides must speak alike."""
_GLIBCS: Final = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35, 39)
"""Minor versions of glibc 2 that wheels are built against (PEP 600)."""
_OLD_NAMES: Final = {5: "1", 12: "2010", 17: "2014"}
"""What three of them were called before."""
_UV_GLIBCS: Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""Those that uv knows as platforms."""

Tell = Callable[[str], None]


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What wheels have to be for."""

    python: str
    """``3.11``."""
    machine: str
    """``x86_64``."""
    glibc: int
    """Minor version of glibc 2."""

    @property
    def tags(self) -> list[str]:
        tags = [f"linux_{self.machine}"]
        for minor in _GLIBCS:
            if minor <= self.glibc:
                tags.append(f"manylinux_2_{minor}_{self.machine}")
                if minor in _OLD_NAMES:
                    tags.append(f"manylinux{_OLD_NAMES[minor]}_{self.machine}")
        return tags[::-1]

    @property
    def of_uv(self) -> str:
        known = [n for n in _UV_GLIBCS if n <= self.glibc]
        return (
            f"{self.machine}-manylinux_2_{known[-1]}" if known else f"{self.machine}-manylinux2014"
        )


class Wheels(msgspec.Struct, frozen=True, kw_only=True):
    """A set of wheels that belongs together."""

    digest: str
    """Of the lock: two sets with one digest are the same packages."""
    lock: tuple[str, ...]
    """``name==version``, one a line."""
    names: tuple[str, ...]
    """File names."""
    folder: Path

    def files(self) -> list[Path]:
        return [self.folder / name for name in self.names]

    @property
    def uv(self) -> str:
        """The name of uv's own wheel."""
        return next(name for name in self.names if name.startswith("uv-"))


def own_requirements() -> list[str]:
    """What a runtime is made of, as installed here.

    Raises:
        SetupFailed: Something of it is not installed here.
    """
    try:
        return [f"{name}=={version(name)}" for name in _OWN]
    except PackageNotFoundError as exc:
        raise SetupFailed(
            f"{exc.name} is not installed here, and hosts get the version that is; "
            'install it: pip install "rhdesk[servlet]"'
        ) from exc


async def wheels_for(
    requirements: Sequence[str], platform: Platform, cache_dir: Path, tell: Tell
) -> Wheels:
    """Wheels that satisfy *requirements* on a platform, all of them on this machine.

    Raises:
        BadRequirement: They cannot be satisfied there.
        SetupFailed: They cannot be fetched; the message says what was tried.
    """
    folder = cache_dir / "wheels"
    asked = json.dumps([sorted(requirements), msgspec.to_builtins(platform)])
    place = folder / "sets" / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    if (known := _known(place, folder)) is not None:
        tell(f"{len(known.names)} packages are here already")
        return known
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        work = Path(name)
        (work / "in.txt").write_text("".join(f"{line}\n" for line in requirements), "utf-8")
        tell(f"resolve for Python {platform.python} on {platform.of_uv}")
        await _run(
            [
                *("uv", "pip", "compile", "in.txt", "-o", "lock.txt", "--quiet", "--no-header"),
                *("--no-annotate", "--python-version", platform.python),
                *("--python-platform", platform.of_uv),
            ],
            work,
            lambda _: None,
        )
        lock = tuple(
            line for line in (work / "lock.txt").read_text("utf-8").splitlines() if line.strip()
        )
        (work / "wheels").mkdir()
        await _run(
            [
                *("pip", "download", "--no-deps", "--only-binary=:all:", "--dest", "wheels"),
                *("--disable-pip-version-check", "--progress-bar", "off", "-r", "lock.txt"),
                *("--find-links", str(folder), "--python-version", platform.python),
                *("--implementation", "cp", "--abi", f"cp{platform.python.replace('.', '')}"),
                *("--abi", "abi3", "--abi", "none"),
                *(word for tag in platform.tags for word in ("--platform", tag)),
            ],
            work,
            lambda line: tell(line.strip()) if "wnload" in line else None,
        )
        names = []
        for file in sorted((work / "wheels").iterdir()):
            if not (folder / file.name).exists():
                shutil.move(file, folder / file.name)
            names.append(file.name)
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    made = Wheels(digest=digest, lock=lock, names=tuple(names), folder=folder)
    whole_file.write(place, [msgspec.json.encode(made, enc_hook=str)])
    return made


def _known(place: Path, folder: Path) -> Wheels | None:
    """A set that was fetched before and is still whole."""
    try:
        found = msgspec.json.decode(place.read_bytes(), type=dict[str, object])
        made = msgspec.convert(
            found | {"folder": str(folder)}, Wheels, dec_hook=lambda kind, value: Path(str(value))
        )
    except (OSError, msgspec.MsgspecError):
        return None
    return made if all(file.exists() for file in made.files()) else None


async def _run(words: Sequence[str], folder: Path, tell: Tell) -> None:
    """Run uv or pip as a module of this Python."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *words),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None, "asked for"
    said: list[str] = []
    try:
        async for line in process.stdout:
            said.append(clean(line.decode("utf-8", "replace").rstrip()))
            tell(said[-1])
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if code == 0:
        return
    text = "\n".join(said[-30:])
    if re.search(r"No module named (uv|pip)", text):
        raise SetupFailed(
            f'hosts are set up with {words[0]}, which is missing here: pip install "rhdesk[servlet]"'
        )
    if re.search(r"dns error|Connection|connect|Temporary failure|unreachable|timed out", text):
        raise SetupFailed(
            "the packages for the host cannot be fetched: no index answers from this machine, and "
            "they are not all in the cache. Connect to a network once, and try again",
            output=text,
        )
    if re.search(r"No solution|unsatisfiable|No matching distribution|not found", text):
        raise BadRequirement(f"{words[0]} finds no such packages: {_last(said)}")
    raise SetupFailed(f"{words[0]} failed: {_last(said)}", output=text)


def _last(said: Sequence[str]) -> str:
    lines = [line.strip() for line in said if line.strip()]
    return " ".join(lines[-4:])[:400] if lines else "it said nothing"
