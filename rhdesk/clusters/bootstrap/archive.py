"""rhdesk's own code for the far side, as one file that is called what it hashes to."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from rhdesk import whole_file
from rhdesk.clusters import servlet_code

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
"""Every file's time, so that the same code is the same archive."""


class Archive(NamedTuple):
    file: Path
    digest: str


def servlet_archive(cache_dir: Path) -> Archive:
    """The archive of what is installed here; made once for each version of it. Blocking.

    Raises:
        SetupFailed: A package is not installed.
    """
    files = servlet_code.files()
    digest = servlet_code.digest(files)
    place = cache_dir / "servlets" / f"{digest}.zip"
    if not place.exists():
        made = BytesIO()  # several hosts may ask for it at once
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files.items():
                packed.writestr(zipfile.ZipInfo(name, _LONG_AGO), file.read_bytes())
        whole_file.write(place, [made.getbuffer()])
    return Archive(place, digest)
