"""The settings file, written so that what a person wrote in it stays: tomlkit, named here alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from rhdesk import whole_file
from rhdesk.config.layers import PROJECT_FILE, config_file, project_file
from rhdesk.config.settings import checked, is_of_person
from rhdesk.errors import BadInput, StoreUnwritable


def write(key: str, text: str | None, *, project: bool = False) -> Path:
    """Set *key*, or with None take it out; comments and the order of lines stay.

    Args:
        project: In the project's file; by default in the user's.

    Raises:
        BadInput: There is no such setting, it cannot have this value, or a project may not decide
            it.
        StoreUnwritable: The file cannot be written.
    """
    if project and is_of_person(key):
        raise BadInput(f"{key} is for you to decide, not for a project; leave out --project")
    return _change({key: text}, place(project=project))


def write_all(said: Mapping[str, Any]) -> Path:
    """Set several in the person's own file, all or none of them.

    Raises:
        BadInput, StoreUnwritable: As `write`.
    """
    return _change(said, place())


def _change(said: Mapping[str, Any], file: Path) -> Path:
    values = {key: None if text is None else checked(key, text) for key, text in said.items()}
    try:
        before = file.read_text("utf-8") if file.is_file() else ""
        document = tomlkit.parse(before)
    except (TOMLKitError, UnicodeDecodeError) as exc:
        raise BadInput(f"{file} is not TOML: {exc}; mend it: rhdesk config edit") from exc
    for key, value in values.items():
        if value is None:
            document.pop(key, None)
        else:
            document[key] = value
    after = tomlkit.dumps(document)
    if after != before:
        save(file, after)
    return file


def place(*, project: bool = False) -> Path:
    """The file that holds them: the project's, or the person's own. It need not exist."""
    return (project_file() or Path.cwd() / PROJECT_FILE) if project else config_file()


def save(file: Path, text: str) -> None:
    """Put *text* into a settings file, whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, [text.encode()])
    except OSError as exc:
        raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
