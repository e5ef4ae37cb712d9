"""Why each setting is what it is, and what is wrong in the files that set them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec
from platformdirs import user_data_path

from rhdesk.config.group_layer import with_groups
from rhdesk.config.layers import Layer, config_file, environment, layers, project_file
from rhdesk.config.settings import Settings, checked, defaults, described, refusal
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Flaw, Said, Setting

FOLDERS: Final = ("data_dir", "cache_dir")
"""Settings that are of this machine, and mean nothing on another."""


def explain(key: str = "") -> list[Setting]:
    """Every setting, or one, with everybody who had a say in it.

    Raises:
        NotFound: No setting is called *key*.
        BadInput: A layer holds what cannot be; `lint` lists all of it.
    """
    names = Settings.__struct_fields__
    if key and key not in names:
        raise NotFound(key, kind="setting", near=get_close_matches(key, names, 3))
    found = with_groups(layers(names), user_data_path("rhdesk"))
    settings, held, about = Settings.of(found), defaults(), described()
    return [
        Setting(
            name=name,
            value=_plain(getattr(settings, name)),
            about=about[name].description or "",
            said=(
                Said(layer="default", where="rhdesk", value=_plain(held[name])),
                *_said(name, found),
            ),
            variable=f"RHDESK_{name.upper()}",
        )
        for name in names
        if key in ("", name)
    ]


def own() -> dict[str, Any]:
    """What the person's own file says, but for the folders of this machine."""
    found = [layer for layer in layers(Settings.__struct_fields__) if layer.name == "user"]
    Settings.of(found)
    return {k: v for layer in found for k, v in layer.values.items() if k not in FOLDERS}


def lint() -> list[Flaw]:
    """Everything wrong in the two files and the environment; nothing is raised for it."""
    flaws: list[Flaw] = []
    for name, file in (("user", config_file()), ("project", project_file())):
        if file is not None and file.is_file():
            flaws += lint_text(name, file, file.read_text("utf-8", "replace"))
    said = environment(Settings.__struct_fields__)
    return flaws + _wrong(said, lambda key: f"the variable RHDESK_{key.upper()}")


def lint_text(name: str, file: Path, text: str) -> list[Flaw]:
    """What is wrong in a file that has this text.

    Args:
        name: The layer it is: ``user`` or ``project``.
    """
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        return [Flaw(where=str(file), what=f"it is not TOML: {exc}", remedy="rhdesk config edit")]
    lines = text.splitlines()

    def where(key: str) -> str:
        starts = (n for n, line in enumerate(lines, 1) if line.split("=")[0].strip() == key)
        number = next(starts, 0)
        return f"{file}:{number}" if number else str(file)

    return _wrong(Layer(name, str(file), said), where)


def schema() -> dict[str, Any]:
    """A JSON Schema of the file, for editors that know one."""

    def hook(kind: type) -> dict[str, Any]:
        return {"type": "string"}

    made = msgspec.json.schema(Settings, schema_hook=hook)
    about: dict[str, Any] = made["$defs"]["Settings"]
    for name, field in about["properties"].items():
        if name in FOLDERS:
            field.pop("default", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rhdesk settings",
        "type": "object",
        "properties": about["properties"],
        "additionalProperties": False,
    }


def _said(name: str, found: Sequence[Layer]) -> list[Said]:
    return [
        Said(
            layer=layer.name,
            where=f"RHDESK_{name.upper()}" if layer.name == "environment" else layer.where,
            value=layer.values[name],
        )
        for layer in found
        if name in layer.values
    ]


def _wrong(layer: Layer, where: Callable[[str], str]) -> list[Flaw]:
    flaws: list[Flaw] = []
    for key, value in layer.values.items():
        if key not in Settings.__struct_fields__:
            near = get_close_matches(key, Settings.__struct_fields__, 1)
            remedy = f"did you mean {near[0]}?" if near else "rhdesk config lists the settings"
            flaws.append(Flaw(where=where(key), what=f"{key} is no setting", remedy=remedy))
        elif why := refusal(layer, key):
            flaws.append(Flaw(where=where(key), what=f"it {why}"))
        else:
            try:
                checked(key, value)
            except BadInput as exc:
                flaws.append(Flaw(where=where(key), what=str(exc)))
    return flaws


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
