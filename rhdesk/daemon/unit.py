"""The systemd user unit: for who wants the daemon from log-in to log-out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rhdesk.daemon.service import COMMAND
from rhdesk.errors import StoreUnwritable

NAME: Final = "rhdesk.service"


def text() -> str:
    """The unit, for this Python and the settings of this environment."""
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n"
        for name, value in sorted(os.environ.items())
        if name.startswith("RHDESK_")
    )
    return f"""[Unit]
Description=rhdesk: in step with the store, runs followed, clusters looked after

[Service]
ExecStart={" ".join(map(_quoted, COMMAND))}
{variables}Restart=on-failure
RestartSec=5
NoNewPrivileges=true

[Install]
WantedBy=default.target
"""


def install() -> Path:
    """Write the unit where systemd looks for a user's own.

    Raises:
        StoreUnwritable: It could not be written.
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    file = home / "systemd" / "user" / NAME
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text(), "utf-8")
    except OSError as exc:
        raise StoreUnwritable(f"cannot write {file}: {exc.strerror}") from exc
    return file


def _quoted(word: str) -> str:
    """*word* as one word of a unit file: quotes, and no specifiers or variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
