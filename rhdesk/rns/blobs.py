"""Many files out of git at once, for a history.

Run without GitPython, which everything else about git goes through: importing it takes longer than
reading a thousand versions.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from rhdesk.errors import RhdeskError, SetupFailed
from rhdesk.rns.work_tree import WorkTree


def read(place: WorkTree, blobs: Iterable[str]) -> dict[str, bytes]:
    """The bytes of each blob.

    Raises:
        RhdeskError: One is gone.
        SetupFailed: There is no git.
    """
    wanted = list(dict.fromkeys(blobs))
    if not wanted:
        return {}
    out = _cat_file(place, "".join(f"{blob}\n" for blob in wanted).encode())
    found: dict[str, bytes] = {}
    start = 0
    for blob in wanted:
        header_end = out.index(b"\n", start)
        _, kind, *size = out[start:header_end].split(b" ")
        if kind != b"blob":
            raise RhdeskError(
                f"{place.git_dir} has lost {blob}, a version of a name; ask `git fsck`"
            )
        start = header_end + 1 + int(size[0])
        found[blob] = out[header_end + 1 : start]
        start += 1
    return found


def environment(place: WorkTree) -> dict[str, str]:
    """Names the repository outright: within a git hook GIT_DIR and its kin point at another one."""
    return {
        "GIT_DIR": str(place.git_dir),
        "GIT_COMMON_DIR": str(place.common_dir),
        "GIT_OBJECT_DIRECTORY": str(place.common_dir / "objects"),
        "GIT_INDEX_FILE": str(place.git_dir / "rhdesk.index"),
        "GIT_WORK_TREE": str(place.root),
        "GIT_TERMINAL_PROMPT": "0",
    }


def _cat_file(place: WorkTree, asked: bytes) -> bytes:
    # No transport: a partial clone must not make reading a name wait for a network.
    told = os.environ | environment(place) | {"GIT_ALLOW_PROTOCOL": "none", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "cat-file", "--batch"], input=asked, capture_output=True, env=told, check=False
        )
    except FileNotFoundError as exc:
        raise SetupFailed("git is not installed, or not on PATH; names are kept in git") from exc
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise RhdeskError(f"git cat-file failed in {place.git_dir}: {said}")
    return done.stdout
