"""Providers whose files are sections of ``key = value``: aws, lambda, azure."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from rhdesk.secrets.providers.place import Place, need

_AWS: Final = {
    "access_key": "aws_access_key_id",
    "secret_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


class Aws:
    """``~/.aws/credentials`` and ``~/.aws/config``, of the profile AWS_PROFILE names, or default."""

    name: ClassVar[str] = "aws"
    fields: ClassVar[tuple[str, ...]] = ("access_key", "secret_key", "session_token", "region")
    variables: ClassVar[Mapping[str, str]] = {
        "AWS_ACCESS_KEY_ID": "access_key",
        "AWS_SECRET_ACCESS_KEY": "secret_key",
        "AWS_SESSION_TOKEN": "session_token",
        "AWS_DEFAULT_REGION": "region",
    }
    pointing: ClassVar[Mapping[str, str]] = {
        "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
        "AWS_CONFIG_FILE": ".aws/config",
    }

    def places(self, place: Place) -> list[Path]:
        return [
            place.file(".aws/credentials", "AWS_SHARED_CREDENTIALS_FILE"),
            place.file(".aws/config", "AWS_CONFIG_FILE"),
        ]

    def read(self, place: Place) -> dict[str, str]:
        profile = place.environ.get("AWS_PROFILE") or "default"
        credentials, config = (_parsed(place.text(file), file) for file in self.places(place))
        section = "default" if profile == "default" else f"profile {profile}"
        said = {**config.get(section, {}), **credentials.get(profile, {})}
        found = {field: said[key] for field, key in _AWS.items() if key in said}
        if "region" in said and found:
            found["region"] = said["region"]
        return found if "access_key" in found else {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        profile = place.environ.get("AWS_PROFILE") or "default"
        credentials, config = self.places(place)
        need(values, "access_key", self.name)
        need(values, "secret_key", self.name)
        said = {key: values.get(field) for field, key in _AWS.items()}
        written = [place.put(credentials, edited(place.text(credentials), profile, said))]
        if region := values.get("region"):
            section = "default" if profile == "default" else f"profile {profile}"
            text = edited(place.text(config), section, {"region": region})
            written.append(place.put(config, text))
        return written


class Lambda:
    """``~/.lambda_cloud/lambda_keys``: one line, ``api_key = ...``."""

    name: ClassVar[str] = "lambda"
    fields: ClassVar[tuple[str, ...]] = ("api_key",)
    variables: ClassVar[Mapping[str, str]] = {"LAMBDA_API_KEY": "api_key"}
    pointing: ClassVar[Mapping[str, str]] = {}

    def places(self, place: Place) -> list[Path]:
        return [place.file(".lambda_cloud/lambda_keys")]

    def read(self, place: Place) -> dict[str, str]:
        for line in place.text(self.places(place)[0]).splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "api_key" and value.strip():
                return {"api_key": value.strip()}
        return {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        kept = [
            line
            for line in place.text(file).splitlines()
            if line.partition("=")[0].strip() != "api_key"
        ]
        lines = [f"api_key = {need(values, 'api_key', self.name)}", *kept]
        return [place.put(file, "\n".join(lines) + "\n")]


class Azure:
    """``~/.azure/clouds.config``: the subscription that the az command uses."""

    name: ClassVar[str] = "azure"
    fields: ClassVar[tuple[str, ...]] = ("subscription_id",)
    variables: ClassVar[Mapping[str, str]] = {"AZURE_SUBSCRIPTION_ID": "subscription_id"}
    pointing: ClassVar[Mapping[str, str]] = {"AZURE_CONFIG_DIR": ".azure"}

    def places(self, place: Place) -> list[Path]:
        return [place.file(".azure/clouds.config", "AZURE_CONFIG_DIR", below="clouds.config")]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        said = _parsed(place.text(file), file).get("AzureCloud", {})
        return {"subscription_id": said["subscription"]} if said.get("subscription") else {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        said = {"subscription": need(values, "subscription_id", self.name)}
        return [place.put(file, edited(place.text(file), "AzureCloud", said))]


def edited(text: str, section: str, said: Mapping[str, str | None]) -> str:
    """*text* with these keys in *section*; every other line stays as it is.

    Args:
        said: None takes a key out.
    """
    lines, found, at = text.splitlines(), False, 0
    kept: list[str] = []
    rest = {key: value for key, value in said.items() if value is not None}
    inside = False

    def flush() -> None:
        nonlocal at
        kept[at:at] = [f"{key} = {value}" for key, value in rest.items()]
        rest.clear()

    for line in lines:
        if line.strip().startswith("[") and line.strip().endswith("]"):
            if inside:
                flush()
            inside = line.strip()[1:-1].strip() == section
            found = found or inside
            kept.append(line)
            at = len(kept)
            continue
        key = line.partition("=")[0].strip()
        is_key = inside and "=" in line and line[:1] not in {" ", "\t", "#", ";"}
        if is_key and key in said:
            if key in rest:
                kept.append(f"{key} = {rest.pop(key)}")
                at = len(kept)
            continue
        kept.append(line)
        if inside and line.strip() and line.strip()[0] not in "#;":
            at = len(kept)
    if not found:
        if kept and kept[-1].strip():
            kept.append("")
        kept.append(f"[{section}]")
        at = len(kept)
        inside = True
    if inside:
        flush()
    return "\n".join(kept) + "\n"


def _parsed(text: str, file: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as exc:
        # Its own text quotes the line, and the line may hold a key.
        raise ValueError(f"{file} is not sections of key = value") from exc
    return {section: dict(parser.items(section)) for section in parser.sections()}
