"""The question before an earlier version becomes the newest."""

from __future__ import annotations

from rhdesk.models import Diff
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import cli
from rhdesk_tui.wording import many

_FEW = 4


def rollback_question(name: str, diff: Diff) -> Confirm:
    """Ask, saying what the way back changes.

    Args:
        name: With the version to go back to.
        diff: From that version to the newest.
    """
    changed = [*(change.pointer for change in diff.fields), *(file.path for file in diff.files)]
    told = ", ".join(changed[:_FEW]) or "nothing"
    if len(changed) > _FEW:
        told += f" and {many(len(changed) - _FEW, 'more', 'more')}"
    return Confirm(
        f"Roll back to {name}?",
        f"It changes {told} back. That becomes a version of its own: rolling back again undoes it. "
        "Where it is live, calls go to it without a break.",
        cli("rollback", name), "Roll back",
    )  # fmt: skip
