"""Settings: what the layers of `rhdesk.config.layers` come to. Reading them creates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import msgspec
from msgspec import Meta
from platformdirs import user_cache_path, user_data_path

from rhdesk.config.group_layer import with_groups
from rhdesk.config.layers import Layer, layers
from rhdesk.errors import BadInput


def _says(text: str, *, of_person: bool = False, least: float | None = None) -> Meta:
    """What a setting is for, and who may decide it.

    Args:
        of_person: Not a project's file: a folder that somebody else wrote is no reason to move or
            remove a person's record.
    """
    return Meta(description=text, extra={"of_person": of_person}, ge=least)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    data_dir: Annotated[
        Path,
        _says(
            "What cannot be rebuilt: runs and their logs, results, names outside any repository.",
            of_person=True,
        ),
    ]
    cache_dir: Annotated[
        Path, _says("What can: environments, code trees, the index of names.", of_person=True)
    ]
    connect_timeout_s: Annotated[
        float, _says("Seconds to wait for a servlet to answer, per attempt.", least=0.1)
    ] = 5.0
    keep_days: Annotated[
        float,
        _says(
            "Runs older than this are removed with their lines, unless pinned.",
            of_person=True,
            least=0,
        ),
    ] = 90.0
    keep_bytes: Annotated[
        int,
        _says(
            "When stored lines and results outgrow this, the oldest unpinned runs go first.",
            of_person=True,
            least=0,
        ),
    ] = 4_000_000_000
    theme: Annotated[
        str, _says("Of the terminal desk: rhdesk-dark or rhdesk-light.", of_person=True)
    ] = "rhdesk-dark"
    cluster: Annotated[str, _says("Where functions are called when no --on says it.")] = "here"
    autostop_mins: Annotated[
        int,
        _says(
            "Minutes without a run after which a cluster that is added ends its servlets; "
            "-1 is never.",
            least=-1,
        ),
    ] = -1
    secret_cache_hours: Annotated[
        float,
        _says(
            "How long a secret that was read of a Vault may be used while the Vault is away.",
            of_person=True,
            least=0,
        ),
    ] = 24.0
    largest_mb: Annotated[
        int, _says("Files larger than this are held back when a folder is sent.", least=1)
    ] = 100

    group: Annotated[
        str,
        _says(
            "The folder of the store that this project belongs to, /ml/vision: its defaults count "
            "here. Empty: your own, what @ stands for."
        ),
    ] = ""

    @classmethod
    def load(cls, file: Path | None = None, **typed: Any) -> Self:
        """Resolve settings; a later layer wins over an earlier one.

        Args:
            file: A TOML file; by default ``config.toml`` in the user's config folder.
            typed: Values the caller set explicitly; ``None`` means not set.

        Raises:
            BadInput: A layer holds a value that does not fit its field.
        """
        found = layers(cls.__struct_fields__, file=file, typed=typed)
        return cls.of(with_groups(found, user_data_path("rhdesk")))

    @classmethod
    def of(cls, found: Sequence[Layer]) -> Self:
        """What the layers come to, the last of them first asked.

        Raises:
            BadInput: As `load`; the message names the layer and the field.
        """
        values: dict[str, Any] = dict(defaults())
        settings = msgspec.convert(values, cls, dec_hook=_read_path)
        for layer in found:
            for key in layer.values:
                if why := refusal(layer, key):
                    raise BadInput(f"{layer.where} {why}")
            values |= layer.values
            try:
                settings = msgspec.convert(values, cls, strict=False, dec_hook=_read_path)
            except msgspec.ValidationError as exc:
                raise BadInput(f"{layer.where}: {exc}") from exc
        return settings


def refusal(layer: Layer, key: str) -> str:
    """Why a layer may not set *key*; empty when it may."""
    if key not in Settings.__struct_fields__:
        return (
            f"sets {key}, which is no setting; "
            f"settings are {', '.join(Settings.__struct_fields__)}"
        )
    if layer.name == "project" and is_of_person(key):
        return f"sets {key}, which only you can decide; set it in your own file: rhdesk config set"
    return ""


def defaults() -> Mapping[str, Any]:
    """What holds where nobody says anything."""
    found: dict[str, Any] = {
        "data_dir": user_data_path("rhdesk"),
        "cache_dir": user_cache_path("rhdesk"),
    }
    for field in msgspec.structs.fields(Settings):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
    return found


def checked(key: str, text: Any) -> Any:
    """A typed value as its setting has it.

    Raises:
        BadInput: There is no such setting, or it cannot have this value.
    """
    if why := refusal(Layer("user", "the command", {}), key):
        raise BadInput(f"the command {why}")
    try:
        settings = msgspec.convert(
            {**defaults(), key: text}, Settings, strict=False, dec_hook=_read_path
        )
    except msgspec.ValidationError as exc:
        raise BadInput(f"{key} cannot be {text!r}: {exc}") from exc
    value = getattr(settings, key)
    return str(value) if isinstance(value, Path) else value


def described() -> dict[str, Meta]:
    """What each setting is for, in the order they are listed."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in Settings.__struct_fields__}


def is_of_person(key: str) -> bool:
    """Whether a project's file may not decide it."""
    return bool((described()[key].extra or {})["of_person"])


def _read_path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise TypeError(f"no setting is a {kind.__name__}")
