"""A project of Runhouse v0.0.12, brought over: ``rh/``, and what ``~/.rh`` says.

Every config comes over as it is, byte for byte, also the fields nobody here knows. What is left
where it is, is listed with the reason; secrets in clear text are left there too, and never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk.errors import AlreadyExists, BadInput
from rhdesk.foreign import clean
from rhdesk.models import Imported
from rhdesk.rns import config_file
from rhdesk.rns.config_file import BROKEN, Config
from rhdesk.rns.index import Row
from rhdesk.rns.local import Edit
from rhdesk.rns.names import LocalNames
from rhdesk.rns.work_tree import is_name

_TYPES: Final = {"function", "module", "cluster", "env", "folder", "table", "blob", "file", "run"}
_SECRET: Final = re.compile(
    r"(password|passwd|token|secret|api_?key|access_?key|private_?key|credentials?)$",
    re.IGNORECASE,
)
_SETTINGS: Final = {
    "default_folder": "{value}: what @ stands for after rhdesk login URL --folder {value}",
    "username": "{value}: who you are is said by the token you log in with",
    "disable_data_collection": "{value}: nothing is collected here",
    "use_rns": "{value}: the store is used by whoever is logged in to one",
    "use_local_configs": "{value}: local names are always used",
}
_ADDRESSES: Final = ("api_server_url", "dashboard_url")


def import_project(
    names: LocalNames, folder: Path, home: Path, *, dry_run: bool = False
) -> Imported:
    """Bring over the project in *folder*, and tell of the settings in *home*.

    Where the project is the one we are in its names are read as they are; then importing means
    that they have a first version. A name that is here already with another content is not
    touched.

    Raises:
        BadInput: There is no ``rh`` folder.
        StoreUnwritable: Nothing was imported.
    """
    found = _Found(folder.expanduser().absolute())
    told = _Told()
    is_ours = found.rh.resolve() == names.place.rh.resolve()
    told.configs(found, is_ours=is_ours)
    if is_ours:
        if not dry_run:
            names.names()
        kept: list[str] = []
        come = found.configs
    else:
        for name, config in list(found.configs.items()):
            found.configs[name] = _without_secrets(config)
        come, kept = _take(names, found, told, dry_run=dry_run)
    told.home(home)
    told.leftovers(found.rh.parent, home)
    return Imported(
        folder=str(found.rh.parent),
        is_dry_run=dry_run,
        names={f"~/{name}": config.resource_type for name, config in sorted(come.items())},
        kept=tuple(f"~/{name}" for name in sorted(kept)),
        settings=told.settings,
        not_understood=tuple(told.not_understood),
        secrets=tuple(told.secrets),
    )


class _Found:
    """The configs below ``rh/``; *unread* is what is no name or no record, and why."""

    def __init__(self, folder: Path) -> None:
        self.rh = folder if folder.name == "rh" and not (folder / "rh").is_dir() else folder / "rh"
        if not self.rh.is_dir():
            raise BadInput(
                f"{folder} holds no rh folder; a project of Runhouse v0.0.12 keeps its names in "
                "PROJECT/rh/NAME/config.json"
            )
        self.configs: dict[str, Config] = {}
        self.unread: list[str] = []
        for top, inner, files in os.walk(self.rh):
            inner.sort()
            if "config.json" in files:
                self._read(Path(top))

    def _read(self, top: Path) -> None:
        name = top.relative_to(self.rh).as_posix()
        file = clean(str(top / "config.json"))
        if not is_name(name):
            self.unread.append(f"{file}: {clean(name)!r} cannot be a name here; rename its folder")
            return
        try:
            config = config_file.read((top / "config.json").read_bytes())
        except OSError as exc:
            self.unread.append(f"{file} cannot be read: {exc.strerror}")
            return
        if config.resource_type == BROKEN:
            self.unread.append(f"{config_file.complaint(file, config.fields)}: not a config")
            return
        above = [n for n in self.configs if name.startswith(f"{n}/")]
        if above:
            self.unread.append(f"{file} is inside ~/{above[0]}, and a name is no folder")
            return
        self.configs[name] = config


class _Told:
    """What the report says beside the names."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.not_understood: list[str] = []
        self.secrets: list[str] = []

    def configs(self, found: _Found, *, is_ours: bool) -> None:
        self.not_understood += found.unread
        for name, config in sorted(found.configs.items()):
            fields = config.fields
            for pointer in _secret_fields(fields):
                spread = "; its versions hold it too, and whoever they are pushed to" * is_ours
                file = found.rh / name / "config.json"
                self.secrets.append(f"~/{name}: {pointer} is in clear text in {file}{spread}")
            if config.resource_type not in _TYPES:
                self.not_understood.append(
                    f"~/{name} is kept as it is; nothing here knows what a "
                    f"{clean(config.resource_type)} is"
                )
            elif config.resource_type in {"function", "module"} and "code" not in fields:
                self.not_understood.append(
                    f"~/{name}: its code is not in its config{_pointer(fields)}; save it again to "
                    f"call it: rhdesk save FILE.py:FUNCTION ~/{name}"
                )

    def home(self, home: Path) -> None:
        """``~/.rh/config.yaml``."""
        file = home / ".rh" / "config.yaml"
        try:
            told: Any = msgspec.yaml.decode(file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            self.not_understood.append(f"{file} cannot be read: {clean(str(exc))}")
            return
        if not isinstance(told, dict):
            self.not_understood.append(f"{file} holds no settings")
            return
        for key, value in told.items():
            self._setting(file, str(key), value)

    def _setting(self, file: Path, key: str, value: Any) -> None:
        if _SECRET.search(key) and value:
            self.secrets.append(f"{file} holds a {clean(key)} in clear text; it was left there")
        elif key == "secrets" and isinstance(value, Mapping):
            for provider, place in value.items():
                self.not_understood.append(
                    f"{file}: the secrets of {clean(str(provider))} stay where they are, in "
                    f"{clean(str(place))}"
                )
        elif key in _SETTINGS:
            self.settings[key] = _SETTINGS[key].format(value=clean(str(value)))
        elif key in _ADDRESSES:
            self.not_understood.append(
                f"{file}: {key} {clean(str(value))} is another product's server; names kept there "
                "are not reached from here"
            )
        else:
            self.not_understood.append(
                f"{file}: {clean(key)} = {clean(repr(value))} is no setting here"
            )

    def leftovers(self, project: Path, home: Path) -> None:
        """What else v0.0.12 wrote down."""
        for folder in (project / ".rh" / "logs", home / ".rh" / "logs"):
            count = len(list(folder.iterdir())) if folder.is_dir() else 0
            if count:
                runs = "1 run" if count == 1 else f"{count} runs"
                self.not_understood.append(
                    f"{folder}: {runs} recorded by v0.0.12 stay{'s' * (count == 1)} there, "
                    "readable with any editor"
                )
        cluster = home / ".rh" / "cluster_config.yaml"
        if cluster.is_file():
            self.not_understood.append(
                f"{cluster}: this machine was a cluster of v0.0.12; bring one up with rhdesk up"
            )


def _take(
    names: LocalNames, found: _Found, told: _Told, *, dry_run: bool
) -> tuple[dict[str, Config], list[str]]:
    """Save what is not here yet, as one version; returns it, and what was here already."""
    come: dict[str, Config] = {}
    kept: list[str] = []
    refused: list[str] = []

    def plan(rows: Mapping[str, Row]) -> Edit | None:
        for collected in (come, kept, refused):
            collected.clear()
        for name, config in found.configs.items():
            row = rows.get(name)
            if row is not None and row.version == config.version:
                kept.append(name)
            elif row is not None:
                refused.append(
                    f"~/{name} is here already with another content and was not touched; rename "
                    f"it, and import again: rhdesk rename ~/{name} ~/{name}-mine"
                )
            else:
                try:
                    names.refuse_taken(name)
                except AlreadyExists as exc:
                    refused.append(f"~/{name} was left where it is: {exc}")
                else:
                    come[name] = config
        if dry_run or not come:
            return None
        count = "1 name" if len(come) == 1 else f"{len(come)} names"
        return Edit(f"import {count} of {clean(found.rh.parent.name)}", list(come.items()))

    if dry_run:
        rows = {row.name: row for row in names.store.rows()}
        plan(rows)
    else:
        names.store.write(list(found.configs), plan)
    told.not_understood += refused
    return come, kept


def _without_secrets(config: Config) -> Config:
    """The same where it holds none; otherwise without them, because versions may be pushed."""
    fields = config.fields
    if not list(_secret_fields(fields)):
        return config
    name, kind = str(fields.get("name", "")), config.resource_type
    return config_file.write(name, kind, _scrubbed(fields))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _scrubbed(v) for k, v in value.items() if not _is_secret(k, v)}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return value


def _secret_fields(value: Any, pointer: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{pointer}/{clean(str(key))}"
            if _is_secret(key, inner):
                yield here
            else:
                yield from _secret_fields(inner, here)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _secret_fields(item, f"{pointer}/{number}")


def _is_secret(key: str, value: Any) -> bool:
    """Whether a field holds one in clear text; where a key file is, is none."""
    if not isinstance(value, str) or not value or value[0] in "~/":
        return False
    return _SECRET.search(key) is not None


def _pointer(fields: Mapping[str, Any]) -> str:
    """Where v0.0.12 says the code is: path, module and name."""
    told = fields.get("fn_pointers") or fields.get("pointers")
    if isinstance(told, list) and told and all(isinstance(part, str) for part in told):
        return f", but at {clean(' '.join(told))}"
    return ""
