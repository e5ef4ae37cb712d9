"""Files that are called what they hash to: a look at whether they still are.

Results and the code of saved functions are kept so: ``ab/ab12...``, the SHA-256 of the content.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from rhdesk.models import Finding

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = re.compile(r"\.[0-9a-f]{16}")
"""What `rhdesk.whole_file` calls a file that is being written."""
_OLD_S: Final = 3600.0


def examine(folder: Path, *, store: str, aside: Path, mend: bool) -> Iterator[Finding]:
    """Files in *folder* that are not what they are called, and what killed writers left.

    Args:
        store: What the findings call it.
        aside: Where a damaged file is moved to; nothing is thrown away.
    """
    for file in sorted(folder.glob("??/*")):
        try:
            if _PART.fullmatch(file.name):
                if time.time() - file.stat().st_mtime < _OLD_S:
                    continue  # somebody may be writing it
                what = f"{file} was left by a writer that was killed"
                if mend:
                    file.unlink(missing_ok=True)
                yield Finding(
                    store=store, what=what, is_mended=mend, remedy=_remedy(mend, "removes it")
                )
            elif _DIGEST.fullmatch(file.name) and not _is_sound(file):
                what = f"{file} is damaged: its content does not match its name"
                if mend:
                    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
                    file.replace(aside / file.name)
                    what += f"; it is moved to {aside}"
                yield Finding(
                    store=store, what=what, is_mended=mend, remedy=_remedy(mend, "moves it aside")
                )
        except FileNotFoundError:
            continue  # removed by its owner since
        except OSError as exc:
            yield Finding(
                store=store,
                what=f"{file} cannot be read or moved: {exc.strerror}",
                remedy=f"make {folder} readable and writable",
            )


def _is_sound(file: Path) -> bool:
    with file.open("rb") as opened:
        digest = sha256()
        while piece := opened.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest() == file.name


def _remedy(is_mended: bool, what: str) -> str:
    return "" if is_mended else f"rhdesk fsck --mend {what}"
