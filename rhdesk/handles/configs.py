"""``rh.configs``: what v0.0.12 kept in ``~/.rh/config.yaml``, as far as names go.

It is read from where rhdesk keeps it: who is logged in to a store, and the current folder.
"""

from __future__ import annotations

from typing import Any

from rhdesk.errors import BadInput
from rhdesk.handles.session import session


class Configs:
    @property
    def defaults_cache(self) -> dict[str, Any]:
        """Every key that has a value. The token is none: what cannot be read cannot leak."""
        state = session().desk.store_state()
        if not state.url:
            return {"default_folder": "~", "use_rns": False}
        return {
            "default_folder": state.folder,
            "username": state.user,
            "api_server_url": state.url,
            "use_rns": True,
        }

    def get(self, key: str, alt: Any = None) -> Any:
        """The value of *key*; *alt* where it has none."""
        return self.defaults_cache.get(key, alt)

    def set(self, key: str, value: Any) -> None:
        """Nothing is set here.

        Raises:
            BadInput: Always; it says where.
        """
        raise BadInput(
            f"{key} is not set here: rhdesk login URL --folder /team says what @ stands for, "
            "rh.set_folder what the current folder is, and rhdesk config lists the settings"
        )


configs = Configs()
