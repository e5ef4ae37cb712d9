"""Providers whose credentials are one token: huggingface, openai, anthropic, wandb."""

from __future__ import annotations

import netrc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from rhdesk.secrets.providers.place import Place, need

_WANDB: Final = "api.wandb.ai"


class HuggingFace:
    """The token file of huggingface_hub."""

    name: ClassVar[str] = "huggingface"
    fields: ClassVar[tuple[str, ...]] = ("token",)
    variables: ClassVar[Mapping[str, str]] = {"HF_TOKEN": "token"}
    pointing: ClassVar[Mapping[str, str]] = {"HF_TOKEN_PATH": ".cache/huggingface/token"}

    def places(self, place: Place) -> list[Path]:
        if said := place.environ.get("HF_TOKEN_PATH"):
            return [Path(said).expanduser()]
        if said := place.environ.get("HF_HOME"):
            return [Path(said).expanduser() / "token"]
        cache = place.file(".cache", "XDG_CACHE_HOME")
        return [cache / "huggingface" / "token"]

    def read(self, place: Place) -> dict[str, str]:
        token = place.text(self.places(place)[0]).strip()
        return {"token": token} if token else {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        return [place.put(self.places(place)[0], need(values, "token", self.name))]


class OpenAi:
    """Its library reads a variable and knows no file."""

    name: ClassVar[str] = "openai"
    fields: ClassVar[tuple[str, ...]] = ("api_key",)
    variables: ClassVar[Mapping[str, str]] = {"OPENAI_API_KEY": "api_key"}
    pointing: ClassVar[Mapping[str, str]] = {}

    def places(self, place: Place) -> list[Path]:
        return []

    def read(self, place: Place) -> dict[str, str]:
        return {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (variable,) = self.variables
        raise ValueError(
            f"{self.name} keeps no file; its library reads {variable} from the environment"
        )


class Anthropic(OpenAi):
    name: ClassVar[str] = "anthropic"
    variables: ClassVar[Mapping[str, str]] = {"ANTHROPIC_API_KEY": "api_key"}


class Wandb:
    """The line of api.wandb.ai in ``~/.netrc``."""

    name: ClassVar[str] = "wandb"
    fields: ClassVar[tuple[str, ...]] = ("api_key",)
    variables: ClassVar[Mapping[str, str]] = {"WANDB_API_KEY": "api_key"}
    pointing: ClassVar[Mapping[str, str]] = {"NETRC": ".netrc"}

    def places(self, place: Place) -> list[Path]:
        return [place.file(".netrc", "NETRC")]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        if not file.is_file():
            return {}
        try:
            found = netrc.netrc(str(file)).authenticators(_WANDB)
        except netrc.NetrcParseError as exc:
            raise ValueError(f"{file} is not a netrc file, at line {exc.lineno}") from None
        return {"api_key": found[2]} if found and found[2] else {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        key = need(values, "api_key", self.name)
        kept, inside = list[str](), False
        for line in place.text(file).splitlines():
            if line.split()[:1] in (["machine"], ["default"]):
                inside = line.split()[1:2] == [_WANDB]
            if not inside:
                kept.append(line)
        lines = [*kept, f"machine {_WANDB}", "  login user", f"  password {key}"]
        return [place.put(file, "\n".join(lines) + "\n")]
