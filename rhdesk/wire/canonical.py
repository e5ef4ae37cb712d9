"""The one spelling of a record's fields, and the version it gives them.

Sorted members, no blanks, ASCII: two configs say the same exactly if they are spelled the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def spell(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def version_of(canonical: str) -> str:
    """40 hex digits of the SHA-256 of a canonical spelling; what ``name@version`` means."""
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:40]
