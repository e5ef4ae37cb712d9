"""uv as a child process: found, run without its bars, and understood when it fails."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rhdesk.errors import BadRequirement, RhdeskError, SetupFailed, StoreUnwritable
from rhdesk_servlet.children import TAIL, Child
from rhdesk_servlet.locks import name_of

_KEPT: Final = 400
"""Lines kept of what uv says: the first of a failed build tells which package it was."""
_UNREACHED: Final = re.compile(
    r"client error \(Connect\)|dns error|error sending request|operation timed out"
    r"|Could not resolve host|Failed to connect to|Connection (?:refused|reset|timed out)"
    r"|Network is unreachable|Temporary failure in name resolution|No route to host"
)
_NO_ROOM: Final = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system")
_NOT_CACHED: Final = re.compile(r"(\S+) was not found in the cache")
_UNKNOWN: Final = re.compile(r"(\S+) was not found in the (?:package )?(?:registry|index)")
_NO_VERSION: Final = re.compile(r"only \S+ (?:is|are) available|there (?:is|are) no versions? of")
_FAILED_BUILD: Final = re.compile(
    r"Failed to build `([^ `]+)[^`]*`|The build backend returned an error"
)
_ERROR: Final = re.compile(r"\s*(?:error|\u00d7)")
_DRAWING: Final = re.compile(
    r"^\s*(?:(?:error|cause|warning):|[\u00d7\u2502\u251c\u2570]\u2500?\u25b6?)?\s*"
)
_CONCLUSION: Final = re.compile(
    r",? (?:and|so),? (?:because )?(?:we can conclude that )?your requirements are unsatisfiable"
    r"|,? we can conclude that your requirements are unsatisfiable"
)
_USER_IN_URL: Final = re.compile(r"(?<=://)[^/\s@]+@")
_NEWS: Final = re.compile(
    r"(?:Resolv|Updat|Download|Build|Built|Prepar|Install|Uninstall|Bytecode|warning:)"
)
_OWN: Final = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON")
_OWN_PREFIXES: Final = ("RHDESK_", "RAY_", "UV_PROJECT", "UV_SYSTEM_")


class Uv:
    """Starts uv.

    Args:
        program: Where uv is; looked for on first use when None.
        cache_dir: Its cache; None leaves it to uv (``UV_CACHE_DIR``, or its own default).

    Attributes:
        started: How many times uv was started.
    """

    def __init__(self, program: Path | None, cache_dir: Path | None) -> None:
        self._program = program
        self._cache_dir = cache_dir
        self.started = 0

    def child(
        self, args: Sequence[str], *, cwd: Path, offline: bool = False, turn: Sequence[int] = ()
    ) -> Child:
        """uv with *args*, not yet running.

        Raises:
            SetupFailed: uv is not installed here.
        """
        if self._program is None:
            self._program = _find_uv()
        env = environ()
        if self._cache_dir is not None:
            env["UV_CACHE_DIR"] = str(self._cache_dir)
        always = ("--no-progress", "--color=never", "--no-python-downloads")
        argv = [str(self._program), *args, *always, *(["--offline"] if offline else [])]
        self.started += 1
        return Child(argv, cwd=cwd, env=env, keep_open=turn, keep=_KEPT)


def environ() -> dict[str, str]:
    """This process's variables without those that are about itself: its venv, its secrets."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in _OWN and not key.startswith(_OWN_PREFIXES)
    }
    return {"GIT_TERMINAL_PROMPT": "0", **kept}


def news_in(line: str) -> str:
    """What uv says it is doing; empty for a line of the lock, a traceback, or noise."""
    news = line.strip().partition(" @ file:")[0]
    return news if _NEWS.match(news) is not None else ""


def is_unreached(lines: Iterable[str]) -> bool:
    """Whether uv failed because a host did not answer."""
    return any(_UNREACHED.search(line) for line in lines)


def unreached(lines: Sequence[str], offline: Sequence[str], built: int) -> SetupFailed:
    """The error when no host answered, and what is here did not do either.

    Args:
        lines: What uv said with the network.
        offline: What it said without.
        built: How many environments are here already.
    """
    cause = next((_plain(line) for line in reversed(lines) if _UNREACHED.search(line)), "")
    what = "git repository" if "Git operation failed" in "\n".join(lines) else "package index"
    absent = sorted(set(_NOT_CACHED.findall(_joined(offline))))
    missing = f"; not cached here: {', '.join(absent)}" if absent else ""
    count = "1 environment" if built == 1 else f"{built} environments"
    still = f"; what is built already ({count}) still works" if built else ""
    return SetupFailed(
        f"the {what} could not be reached ({cause}){missing}{still}",
        output="\n".join([*lines][-TAIL:]),
    )


def explain(lines: Sequence[str], *, asked: Sequence[str], own: Sequence[str]) -> RhdeskError:
    """The error that tells why uv failed.

    Args:
        lines: What uv said.
        asked: The user's requirements.
        own: Those of the servlet.
    """
    text = "\n".join(lines)
    output = "\n".join([*lines][-TAIL:])
    if found := _NO_ROOM.search(text):
        return StoreUnwritable(
            f"packages could not be stored: {found[0]}; make room and try again"
        )
    if found := _FAILED_BUILD.search(text):
        what = found[1] or "a package"
        last = next((line.strip() for line in reversed(lines) if "hint:" not in line), "")
        return SetupFailed(f"{_plain(what)} could not be built: {last}", output=output)
    if "Because " in text:
        return _unsatisfiable(_reason(lines), asked=asked, own=own)
    if "Git operation failed" in text:
        fatal = next((line.strip() for line in lines if "fatal:" in line), _first(lines))
        git = [repr(line) for line in asked if "git+" in line]
        return BadRequirement(f"{' or '.join(git)} could not be fetched: {_plain(fatal)}")
    if "Hash mismatch" in text:
        return BadRequirement(f"a download is not what its hash says: {_first(lines)}")
    if "Couldn't parse" in text or "Distribution not found" in text:
        said = " ".join(_plain(line) for line in lines[1:] if line.strip(" ^"))
        return BadRequirement(f"a requirement cannot be read: {said}")
    return SetupFailed(f"the packages could not be installed: {_first(lines)}", output=output)


def _unsatisfiable(reason: str, *, asked: Sequence[str], own: Sequence[str]) -> BadRequirement:
    named = [line for line in asked if _mentions(reason, name_of(line))]
    unknown = sorted(set(_UNKNOWN.findall(reason)))
    if unknown:
        wanted = [repr(line) for line in named if name_of(line) in unknown]
        given = f", asked for as {', '.join(wanted)}" if wanted else ""
        return BadRequirement(
            f"no package is called {' or '.join(map(repr, unknown))}{given}; look at the spelling"
        )
    if len(named) == 1 and _NO_VERSION.search(reason):
        return BadRequirement(f"nothing fits {named[0]!r}: {reason}")
    ours = [line for line in own if _mentions(reason, name_of(line))]
    needs = f" (the servlet itself needs {', '.join(ours)})" if ours else ""
    shown = ", ".join(map(repr, named or asked))
    together = " together" if len(named or asked) > 1 else ""
    return BadRequirement(f"{shown} cannot be installed{together}{needs}: {reason}")


def _reason(lines: Sequence[str]) -> str:
    """uv's explanation on one line, without the words every one of them ends with."""
    start = next(index for index, line in enumerate(lines) if "Because " in line)
    body: list[str] = []
    for line in lines[start:]:
        if line.startswith("hint:"):
            break
        body.append(_DRAWING.sub("", line).strip())
    reason = " ".join(body).partition("Because ")[2]
    reason = _CONCLUSION.sub("", reason).strip().rstrip(".")
    return _plain(reason if len(reason) <= 500 else f"{reason[:500]} ...")


def _mentions(text: str, name: str) -> bool:
    return bool(name) and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) is not None


def _joined(lines: Iterable[str]) -> str:
    return " ".join(_DRAWING.sub("", line).strip() for line in lines)


def _first(lines: Sequence[str]) -> str:
    """The first line that says what is wrong, and the cause beneath it."""
    start = next((index for index, line in enumerate(lines) if _ERROR.match(line)), 0)
    return ": ".join(_plain(line) for line in lines[start : start + 2]) or "uv said nothing"


def _plain(line: str) -> str:
    return _USER_IN_URL.sub("", _DRAWING.sub("", line).strip())


def _find_uv() -> Path:
    try:
        from uv import find_uv_bin  # deferred: only a node that builds needs it

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        beside = Path(sys.executable).with_name("uv")
        found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SetupFailed(
            "uv, which builds environments, is not installed on the cluster; "
            "install rhdesk[servlet] there"
        )
    return Path(found)
