"""Where settings are said, in the order in which a later place wins over an earlier one.

1. defaults   in `Settings`
2. group      of the folder of the store a project belongs to (`rhdesk.config.group_layer`)
3. old        ``~/.rh/config.yaml`` of Runhouse v0.0.12, what of it is a setting here
4. user       ``config.toml`` in the user's config folder (``rhdesk config`` prints which)
5. project    ``rhdesk.toml`` in the folder a command runs in, or the nearest above it
6. environment  each setting as ``RHDESK_<NAME>``
7. command    what was typed
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from platformdirs import user_config_path

from rhdesk.errors import BadInput

PROJECT_FILE: Final = "rhdesk.toml"
OLD_NAMES: Final = {"default_autostop": "autostop_mins"}
"""Keys of v0.0.12 that are settings here, and what they are called."""


class Layer(msgspec.Struct, frozen=True):
    name: str
    """``group``, ``old``, ``user``, ``project``, ``environment`` or ``command``."""
    where: str
    """A file, or what stands for one."""
    values: dict[str, Any]


def layers(
    fields: Sequence[str],
    *,
    file: Path | None = None,
    typed: Mapping[str, Any] | None = None,
) -> list[Layer]:
    """Every place that says something, weakest first; the defaults are none of them.

    Raises:
        BadInput: A file cannot be read.
    """
    found = [_old(), _file("user", file or config_file())]
    if (project := project_file()) is not None:
        found.append(_file("project", project))
    found.append(environment(fields))
    given = {key: value for key, value in (typed or {}).items() if value is not None}
    found.append(Layer("command", "the command", given))
    return [layer for layer in found if layer.values]


def environment(fields: Sequence[str]) -> Layer:
    """What variables say."""
    variables = {field: f"RHDESK_{field.upper()}" for field in fields}
    said = {field: os.environ[name] for field, name in variables.items() if name in os.environ}
    return Layer("environment", "the environment (RHDESK_...)", said)


def config_file() -> Path:
    """Where the settings file is looked for; it need not exist."""
    return user_config_path("rhdesk") / "config.toml"


def project_file() -> Path | None:
    """The project's settings file: in this folder or the nearest above, never from home up."""
    try:
        here, home = Path.cwd(), Path.home()
    except (OSError, RuntimeError):  # the folder is gone, or there is no home
        return None
    for folder in (here, *here.parents):
        if folder == home:
            return None
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
        if (folder / ".git").exists():
            return None
    return None


def _file(name: str, file: Path) -> Layer:
    if not file.is_file():
        return Layer(name, str(file), {})
    try:
        return Layer(name, str(file), tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{file} is not TOML: {exc}") from exc
    except OSError as exc:
        raise BadInput(f"{file} cannot be read: {exc.strerror}") from exc


def _old() -> Layer:
    """What v0.0.12 was told; a file of it that cannot be read says nothing."""
    file = Path("~/.rh/config.yaml").expanduser()
    try:
        data = file.read_bytes()
    except OSError:
        return Layer("old", str(file), {})
    try:
        said = msgspec.yaml.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, ImportError):
        return Layer("old", str(file), {})
    kept = {new: said[old] for old, new in OLD_NAMES.items() if isinstance(said.get(old), int)}
    return Layer("old", str(file), kept)
