"""Who may what, as the store told it last: so that `why` is answered without a network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rhdesk import whole_file
from rhdesk.models import Policy


def policy_file(folder: Path) -> Path:
    return folder / "policy.json"


def read_policy(folder: Path) -> Policy | None:
    """None where the store never told it, or the file is damaged: it is told again at the next
    contact."""
    try:
        return msgspec.json.decode(policy_file(folder).read_bytes(), type=Policy)
    except (OSError, msgspec.DecodeError):
        return None


def keep_policy(folder: Path, policy: Policy) -> None:
    """In place of what was told before: rights that were lost are not remembered here."""
    whole_file.write(policy_file(folder), [msgspec.json.encode(policy)])
