"""``rh.configs``: what v0.0.12 kept in ``~/.rh/config.yaml``.

Settings are those of ``rhdesk config``; who is logged in to a store, and what ``@`` stands for, come
from there. Keys of v0.0.12 that are settings under another name here are known by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rhdesk.config.layers import OLD_NAMES
from rhdesk.desk.settings import SHARED
from rhdesk.errors import BadInput
from rhdesk.handles.session import session


class Configs:
    @property
    def defaults_cache(self) -> dict[str, Any]:
        """Every key that has a value. The token is none: what cannot be read cannot leak."""
        found = {each.name: each.value for each in session().desk.explain_settings()}
        found |= {old: found[new] for old, new in OLD_NAMES.items()}
        state = session().desk.store_state()
        if not state.url:
            return found | {"default_folder": "~", "use_rns": False}
        return found | {
            "default_folder": state.folder,
            "username": state.user,
            "api_server_url": state.url,
            "use_rns": True,
        }

    def get(self, key: str, alt: Any = None) -> Any:
        """The value of *key*; *alt* where it has none."""
        return self.defaults_cache.get(key, alt)

    def set(self, key: str, value: Any) -> None:
        """Set a setting in the person's own file.

        Raises:
            BadInput: It is none, or cannot have this value; the message lists them.
        """
        if key in {"default_folder", "username", "token", "api_server_url", "use_rns"}:
            raise BadInput(f"{key} comes with the store: rhdesk login URL --folder /team")
        session().desk.set_setting(OLD_NAMES.get(key, key), str(value))

    def set_many(self, key_value_pairs: Mapping[str, Any]) -> None:
        """Set several, one after the other."""
        for key, value in key_value_pairs.items():
            self.set(key, value)

    def delete(self, key: str) -> None:
        """Take a setting out of the person's own file."""
        session().desk.set_setting(OLD_NAMES.get(key, key), None)

    def upload_defaults(self, defaults: Mapping[str, Any] | None = None) -> None:
        """Save the person's settings in the store; with *defaults*, set those first."""
        self.set_many(defaults or {})
        session().desk.upload_settings(SHARED)

    def download_and_save_defaults(self) -> None:
        """Take over the settings that were uploaded from another machine."""
        session().desk.download_settings(SHARED)


configs = Configs()
