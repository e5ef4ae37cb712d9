"""``rh.Secrets``: the class methods of v0.0.12, over the secrets kept here.

Values are plain dicts, as they were there: a script that asks for a secret means to use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rhdesk.errors import BadInput
from rhdesk.handles.cluster import cluster_of
from rhdesk.handles.session import session
from rhdesk.models import SecretText


class Secrets:
    @classmethod
    def put(
        cls,
        provider: str,
        from_env: bool = False,
        file_path: str | None = None,
        secret: Mapping[str, str] | None = None,
        group: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Keep a provider's credentials: *secret*, or what it has on this machine.

        Raises:
            NotFound: *secret* is not given, and it has nothing here.
            BadInput: *group* or *file_path* is given.
        """
        _no_group(group)
        if file_path is not None:
            raise BadInput(f"read {file_path} yourself and give secret={{...}}")
        desk = session().desk
        if secret is None:
            desk.load_provider(provider, from_env=from_env)
            return
        values = {field: SecretText(str(value)) for field, value in secret.items()}
        desk.put_secret(provider, values, provider=_known(provider))

    @classmethod
    def get(
        cls, provider: str, save_to_env: bool = False, group: str | None = None
    ) -> dict[str, str]:
        """What is kept of a provider.

        Args:
            save_to_env: Also write it where the provider looks for it.

        Raises:
            NotFound: Nothing is kept under this name.
        """
        _no_group(group)
        desk = session().desk
        found = {field: text.reveal() for field, text in desk.read_secret(provider).items()}
        if save_to_env:
            desk.save_provider(provider)
        return found

    @classmethod
    def update(cls, provider: str, secrets: Mapping[str, str]) -> None:
        """Add fields to what is kept, or give them other values."""
        cls.put(provider, secret=cls.get(provider) | dict(secrets))

    @classmethod
    def extract_and_upload(
        cls,
        headers: dict[str, str] | None = None,
        interactive: bool = False,
        providers: Sequence[str] | None = None,
    ) -> None:
        """Keep what every provider has on this machine, or those that are named."""
        for name in cls._enabled(providers):
            session().desk.load_provider(name)

    @classmethod
    def download_into_env(
        cls,
        save_locally: bool = True,
        providers: Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
        check_enabled: bool = True,
    ) -> dict[str, dict[str, str]]:
        """Everything that is kept, and with *save_locally* write it where providers look for it."""
        from rhdesk.secrets.providers import has_files

        desk = session().desk
        kept = [each for each in desk.secrets() if providers is None or each.name in providers]
        found = {each.name: cls.get(each.name) for each in kept}
        for each in kept if save_locally else []:
            if has_files(each.provider):
                desk.save_provider(each.name)
        return found

    @classmethod
    def delete_from_vault(cls, providers: Sequence[str] | None = None) -> None:
        """Remove what is kept, all or of those that are named."""
        desk = session().desk
        for each in desk.secrets():
            if providers is None or each.name in providers:
                desk.delete_secret(each.name)

    @classmethod
    def to(cls, system: Any, providers: Sequence[str] | None = None) -> None:
        """Write what is kept where providers look for it on a cluster."""
        cluster_of(system).sync_secrets(providers)

    @classmethod
    def load_provider_secrets(
        cls, from_env: bool = False, providers: Sequence[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """What providers have on this machine; nothing is kept."""
        from rhdesk.secrets.providers import read
        from rhdesk.secrets.providers.place import Place

        place = Place.here()
        return {name: read(name, place, from_env=from_env) for name in cls._enabled(providers)}

    @classmethod
    def save_provider_secrets(
        cls, secrets: Mapping[str, Mapping[str, str]], check_enabled: bool = True
    ) -> None:
        """Write credentials where their providers look for them."""
        from rhdesk.secrets.providers import provider
        from rhdesk.secrets.providers.place import Place

        for name, values in secrets.items():
            try:
                provider(name).write(values, Place.here())
            except ValueError as exc:
                raise BadInput(str(exc)) from exc

    @classmethod
    def enabled_providers(cls, as_str: bool = False) -> list[Any]:
        """Providers that have credentials on this machine, by name or with what is known."""
        found = [each for each in session().desk.providers() if each.found]
        return [each.name for each in found] if as_str else list(found)

    @classmethod
    def builtin_providers(cls, as_str: bool = False) -> list[Any]:
        """Every provider that is understood."""
        found = session().desk.providers()
        return [each.name for each in found] if as_str else list(found)

    @classmethod
    def _enabled(cls, providers: Sequence[str] | None) -> list[str]:
        return list(providers) if providers is not None else cls.enabled_providers(as_str=True)


def _no_group(group: str | None) -> None:
    if group:
        raise BadInput(f"secrets of a group ({group}) are not in this version; keep them as yours")


def _known(name: str) -> str:
    return name if any(each.name == name for each in session().desk.providers()) else ""
