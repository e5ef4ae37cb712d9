"""Providers whose file is a document, JSON or YAML: gcp, github, docker, kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from rhdesk.secrets.providers.place import Place, need


class Gcp:
    """Application default credentials, as ``gcloud auth application-default login`` writes them."""

    name: ClassVar[str] = "gcp"
    fields: ClassVar[tuple[str, ...]] = ("type", "client_id", "client_secret", "refresh_token")
    variables: ClassVar[Mapping[str, str]] = {
        "CLIENT_ID": "client_id",
        "CLIENT_SECRET": "client_secret",
    }
    pointing: ClassVar[Mapping[str, str]] = {
        "GOOGLE_APPLICATION_CREDENTIALS": ".config/gcloud/application_default_credentials.json"
    }

    def places(self, place: Place) -> list[Path]:
        if said := place.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            return [Path(said).expanduser()]
        name = "application_default_credentials.json"
        return [place.file(f".config/gcloud/{name}", "CLOUDSDK_CONFIG", below=name)]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        said = _json(place.text(file), file)
        return {key: _as_text(value) for key, value in said.items()}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        said = {key: _as_value(value) for key, value in values.items()}
        if "type" not in said:
            said["type"] = "authorized_user"
        return [place.put(file, _json_text(said))]


class GitHub:
    """``hosts.yml`` of the gh command."""

    name: ClassVar[str] = "github"
    fields: ClassVar[tuple[str, ...]] = ("token", "user")
    variables: ClassVar[Mapping[str, str]] = {"GH_TOKEN": "token", "GITHUB_TOKEN": "token"}
    pointing: ClassVar[Mapping[str, str]] = {"GH_CONFIG_DIR": ".config/gh"}

    def places(self, place: Place) -> list[Path]:
        if said := place.environ.get("GH_CONFIG_DIR"):
            return [Path(said).expanduser() / "hosts.yml"]
        return [place.file(".config/gh/hosts.yml", "XDG_CONFIG_HOME", below="gh/hosts.yml")]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        host = _mapping(_yaml(place.text(file), file).get("github.com"))
        user = str(host.get("user") or "")
        # gh keeps the tokens of several users beside that of the one who is active.
        users = _mapping(host.get("users"))
        token = host.get("oauth_token") or _mapping(users.get(user)).get("oauth_token")
        if not token:
            return {}
        return {"token": str(token)} | ({"user": user} if user else {})

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        said = _yaml(place.text(file), file)
        host = _mapping(said.get("github.com"))
        token = need(values, "token", self.name)
        host = {"git_protocol": "https"} | host | {"oauth_token": token}
        if user := values.get("user"):
            users = _mapping(host.get("users"))
            users[user] = _mapping(users.get(user)) | {"oauth_token": token}
            host |= {"user": user, "users": users}
        said["github.com"] = host
        return [place.put(file, msgspec.yaml.encode(said).decode())]


class Docker:
    """``config.json`` of docker: one field for each registry, its ``auth``.

    Credentials that docker gave to a helper of the system are not in the file; they stay there.
    """

    name: ClassVar[str] = "docker"
    fields: ClassVar[tuple[str, ...]] = ("registry.example.org",)
    variables: ClassVar[Mapping[str, str]] = {}
    pointing: ClassVar[Mapping[str, str]] = {"DOCKER_CONFIG": ".docker"}

    def places(self, place: Place) -> list[Path]:
        return [place.file(".docker/config.json", "DOCKER_CONFIG", below="config.json")]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        said = _json(place.text(file), file)
        auths = _mapping(said.get("auths"))
        found = {
            registry: _as_text(auth if set(_mapping(auth)) - {"auth"} else _mapping(auth)["auth"])
            for registry, auth in auths.items()
            if _mapping(auth)
        }
        if auths and not found:
            helper = said.get("credsStore") or "a helper"
            raise ValueError(f"{file} leaves the credentials to {helper} of this system")
        return found

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        said = _json(place.text(file), file)
        auths = _mapping(said.get("auths"))
        for registry, text in values.items():
            value = _as_value(text)
            auths[registry] = value if isinstance(value, dict) else {"auth": text}
        return [place.put(file, _json_text(said | {"auths": auths}))]


class Kubeconfig:
    """``~/.kube/config``: clusters, users and contexts; those of other names stay."""

    name: ClassVar[str] = "kubeconfig"
    fields: ClassVar[tuple[str, ...]] = ("config",)
    variables: ClassVar[Mapping[str, str]] = {}
    pointing: ClassVar[Mapping[str, str]] = {"KUBECONFIG": ".kube/config"}

    def places(self, place: Place) -> list[Path]:
        said = place.environ.get("KUBECONFIG", "").split(":")[0]
        return [Path(said).expanduser() if said else place.home / ".kube" / "config"]

    def read(self, place: Place) -> dict[str, str]:
        (file,) = self.places(place)
        text = place.text(file)
        return {"config": text} if _yaml(text, file) else {}

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (file,) = self.places(place)
        given = need(values, "config", self.name)
        new, said = _yaml(given, Path("the secret")), _yaml(place.text(file), file)
        if not said:
            return [place.put(file, given)]
        for kind in ("clusters", "users", "contexts"):
            names = {entry.get("name") for entry in _entries(new.get(kind))}
            kept = [entry for entry in _entries(said.get(kind)) if entry.get("name") not in names]
            said[kind] = [*kept, *_entries(new.get(kind))]
        said["current-context"] = new.get("current-context", said.get("current-context", ""))
        return [place.put(file, msgspec.yaml.encode(said).decode())]


def _json(text: str, file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text.strip() else {}
    except msgspec.DecodeError:
        raise ValueError(f"{file} is not a JSON document") from None


def _yaml(text: str, file: Path) -> dict[str, Any]:
    try:
        return msgspec.yaml.decode(text, type=dict[str, Any]) if text.strip() else {}
    except msgspec.DecodeError:
        raise ValueError(f"{file} is not a YAML document") from None


def _json_text(said: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(said), indent=2).decode() + "\n"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _as_value(text: str) -> Any:
    """What `_as_text` was given."""
    if text[:1] in {"{", "["}:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return text


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
