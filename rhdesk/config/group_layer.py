"""The defaults of the folders of a store, as a layer of settings: weaker than all a person says.

The desk writes them down whenever it was in step with the store; here they are read, without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk import whole_file
from rhdesk.config.layers import Layer

KEYS: Final[Mapping[str, str]] = {
    "system": "the cluster or the storage system that is meant where none is said",
    "path": "the folder in it",
    "provider": "of machines that are brought up",
    "region": "of the provider",
    "instance_type": "of the provider",
    "autostop": "minutes without a run after which a machine ends itself; -1 is never",
    "budget": "what machines may cost, in the provider's currency, by month",
    "env": "the environment of functions that name none",
}
"""What a folder can say a default for, and what it is."""
_SETTINGS: Final = {"system": "cluster", "autostop": "autostop_mins"}
"""Those that are settings of a desk, and what they are called there."""


class GroupDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What every folder says that the desk knows of."""

    at: str
    """The folder of who is logged in, ``/ada``."""
    folders: dict[str, dict[str, Any]] = {}


def defaults_file(data_dir: Path) -> Path:
    return data_dir / "sync" / "defaults.json"


def keep_defaults(data_dir: Path, told: GroupDefaults | None) -> None:
    """Write them down; None: nobody is logged in any more."""
    if told is None:
        defaults_file(data_dir).unlink(missing_ok=True)
    elif told != read_defaults(data_dir):
        whole_file.write(defaults_file(data_dir), [msgspec.json.encode(told)])


def read_defaults(data_dir: Path) -> GroupDefaults | None:
    try:
        return msgspec.json.decode(defaults_file(data_dir).read_bytes(), type=GroupDefaults)
    except (OSError, msgspec.DecodeError):
        return None


def resolved(told: GroupDefaults, folder: str) -> dict[str, tuple[Any, str]]:
    """Each default that counts in *folder*, with the folder that says it: the nearest one does."""
    found: dict[str, tuple[Any, str]] = {}
    for above in _downwards(folder):
        for key, value in told.folders.get(above, {}).items():
            found[key] = (value, above)
    return found


def group_layers(data_dir: Path, group: str) -> list[Layer]:
    """The defaults that are settings, a layer for each folder that says one, the nearest last.

    Args:
        group: The folder whose defaults count; "" is one's own.
    """
    told = read_defaults(data_dir)
    if told is None:
        return []
    layers: list[Layer] = []
    for above in _downwards(group or told.at):
        said = told.folders.get(above, {})
        values = {_SETTINGS[key]: value for key, value in said.items() if key in _SETTINGS}
        if values:
            layers.append(Layer("group", above, values))
    return layers


def with_groups(found: Sequence[Layer], data_dir: Path) -> list[Layer]:
    """*found*, and below it what the group says that one of them, or nobody, named."""
    said = [layer.values for layer in found]
    folder = next((str(v["data_dir"]) for v in reversed(said) if "data_dir" in v), "")
    group = next((str(v["group"]) for v in reversed(said) if "group" in v), "")
    where = Path(folder).expanduser() if folder else data_dir
    return [*group_layers(where, group), *found]


def _downwards(folder: str) -> Iterator[str]:
    parts = folder.strip("/").split("/") if folder.strip("/") else []
    for end in range(1, len(parts) + 1):
        yield "/" + "/".join(parts[:end])
