"""A look at the code kept for saved names: whether it is all there, and still what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rhdesk import hashed_files
from rhdesk.code.bundling import record_bundle
from rhdesk.errors import BadInput
from rhdesk.models import Finding, Record


def examine(data_dir: Path, records: Sequence[Record], *, mend: bool) -> list[Finding]:
    """Everything that is wrong with the code shelf in *data_dir*, which *records* need."""
    folder = data_dir / "code"
    aside = data_dir / "damaged" / "code"
    found = list(hashed_files.examine(folder, store="code", aside=aside, mend=mend))
    return [*found, *_missing(folder, records)]


def _missing(folder: Path, records: Sequence[Record]) -> Iterator[Finding]:
    for record in records:
        with suppress(BadInput):  # of something that is not called, or was saved by v0.0.12
            bundle = record_bundle(record)
            needed = {**bundle.files} | ({"its pickle": bundle.blob} if bundle.blob else {})
            gone = [
                path for path, digest in needed.items()
                if not (folder / digest[:2] / digest).exists()
            ]  # fmt: skip
            if gone:
                more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
                yield Finding(
                    store="code",
                    what=f"{record.name} needs {sorted(gone)[0]}{more}, which is not kept here",
                    remedy=f"save it again where its code is: rhdesk save FILE.py:FUNCTION "
                    f"{record.name}",
                )
