"""A look at the replica of a remote store: what waits to be sent, and what the store told."""

from __future__ import annotations

from rhdesk.errors import RhdeskError
from rhdesk.models import Finding
from rhdesk.sync.replica import SqliteReplica


def examine(replica: SqliteReplica) -> list[Finding]:
    """Everything that is wrong with *replica*; what can be mended is, with the damage put aside.

    What the store told is made anew at the next contact. Of what only this machine knows every
    whole row is kept, and what is not whole is listed with what the store refused.
    """
    before = {file.name for file in replica.folder.iterdir()}
    try:
        replica.check()
    except RhdeskError as exc:
        return [
            Finding(
                store="sync",
                what=str(exc),
                remedy=f"keep a copy of {replica.folder}, then: rhdesk logout --discard, "
                "and log in again",
            )
        ]
    aside = sorted(
        file for file in replica.folder.iterdir()
        if ".damaged-" in file.name and file.suffix == ".db" and file.name not in before
    )  # fmt: skip
    return [
        Finding(
            store="sync",
            what=f"{replica.folder / file.name.partition('.')[0]}.db was damaged and is made anew; "
            f"what it was is kept in {file}, and what could not be saved is listed by "
            "rhdesk rejected",
            is_mended=True,
        )
        for file in aside
    ]
