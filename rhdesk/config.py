"""Settings: defaults, then the file, then the environment, then what the caller typed.

The file is ``config.toml`` in the user's config folder (``rhdesk doctor`` prints which); each
field below is a key in it and, as ``RHDESK_<FIELD>``, a variable. Reading creates nothing.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Self

import msgspec
from platformdirs import user_cache_path, user_config_path, user_data_path

from rhdesk.errors import BadInput


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    data_dir: Path
    """What cannot be rebuilt: runs and their logs, results, names outside any repository."""

    cache_dir: Path
    """What can: environments, code trees, the index of names."""

    connect_timeout_s: float = 5.0
    """Seconds to wait for a servlet to answer, per attempt."""

    keep_days: float = 90.0
    """Runs older than this are removed with their lines, unless pinned."""

    keep_bytes: int = 4_000_000_000
    """When stored lines and results outgrow this, the oldest unpinned runs go first."""

    theme: str = "rhdesk-dark"
    """Theme of the terminal desk: ``rhdesk-dark`` or ``rhdesk-light``."""

    @classmethod
    def load(cls, file: Path | None = None, **typed: Any) -> Self:
        """Resolve settings; a later source wins over an earlier one.

        Args:
            file: A TOML file; by default ``config.toml`` in the user's config folder.
            typed: Values the caller set explicitly; ``None`` means not set.

        Raises:
            BadInput: A source holds a value that does not fit its field.
        """
        values: dict[str, Any] = {
            "data_dir": user_data_path("rhdesk"),
            "cache_dir": user_cache_path("rhdesk"),
        }
        sources: list[tuple[str, dict[str, Any]]] = []
        file = file or config_file()
        if file.is_file():
            try:
                sources.append((str(file), tomllib.loads(file.read_text("utf-8"))))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
                raise BadInput(f"{file} is not TOML: {exc}") from exc
        variables = {
            field: os.environ[variable]
            for field in cls.__struct_fields__
            if (variable := f"RHDESK_{field.upper()}") in os.environ
        }
        sources.append(("the environment (RHDESK_...)", variables))
        sources.append(("the command", {k: v for k, v in typed.items() if v is not None}))
        for source, found in sources:
            unknown = set(found) - set(cls.__struct_fields__)
            if unknown:
                raise BadInput(
                    f"{source} sets {', '.join(sorted(unknown))}, which is no setting; "
                    f"settings are {', '.join(cls.__struct_fields__)}"
                )
            values |= found
            try:
                msgspec.convert(values, cls, strict=False, dec_hook=_read_path)
            except msgspec.ValidationError as exc:
                raise BadInput(f"{source}: {exc}") from exc
        return msgspec.convert(values, cls, strict=False, dec_hook=_read_path)


def config_file() -> Path:
    """Where the settings file is looked for; it need not exist."""
    return user_config_path("rhdesk") / "config.toml"


def _read_path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise TypeError(f"no setting is a {kind.__name__}")
