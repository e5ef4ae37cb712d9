"""The watches a daemon goes on with: a file each, and beside it how the last sync went."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from rhdesk import whole_file
from rhdesk.errors import NotFound, StoreUnwritable
from rhdesk.models import Watched

_WANTED = ".wanted"
_SEEN = ".seen"


class KeptWatches:
    """What a person asked for is written by them alone, how it goes by the daemon alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, watched: Watched) -> None:
        """Have the daemon watch a folder; one that it watches already is asked for anew.

        Raises:
            StoreUnwritable: It could not be written down.
        """
        self._write(watched, _WANTED)

    def drop(self, folder: str, cluster: str) -> Watched:
        """Have it end a watch.

        Raises:
            NotFound: There is none of that folder and cluster.
        """
        for kept in self.all():
            if (kept.folder, kept.cluster) == (folder, cluster):
                for end in (_WANTED, _SEEN):
                    self._file(kept, end).unlink(missing_ok=True)
                return kept
        near = [f"{kept.folder} --on {kept.cluster}" for kept in self.all()]
        raise NotFound(f"{folder} --on {cluster}", kind="watch the daemon keeps", near=near)

    def note(self, watched: Watched) -> None:
        """Write down how a watch goes."""
        if self._file(watched, _WANTED).exists():
            self._write(watched, _SEEN)

    def all(self) -> list[Watched]:
        """Every one that is wanted, as it was last seen."""
        found: list[Watched] = []
        for file in sorted(self._folder.glob(f"*{_WANTED}")):
            wanted = _read(file)
            if wanted is None:
                continue
            seen = _read(file.with_suffix(_SEEN))
            found.append(seen if seen is not None and seen.since == wanted.since else wanted)
        return found

    def _write(self, watched: Watched, end: str) -> None:
        try:
            whole_file.write(self._file(watched, end), [msgspec.json.encode(watched)])
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def _file(self, watched: Watched, end: str) -> Path:
        name = sha256(f"{watched.folder}\0{watched.cluster}".encode("utf-8", "replace"))
        return self._folder / f"{name.hexdigest()[:24]}{end}"


def _read(file: Path) -> Watched | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Watched)
    except (OSError, msgspec.DecodeError):  # ended meanwhile, or of another rhdesk
        return None
