"""Who is logged in to which store, and the token that shows it.

``<data_dir>/sync/account.json`` says who; everything of that store, its token included, is in a
folder of its own beside it, so that two stores, or two people, never mix.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

import msgspec

from rhdesk import whole_file
from rhdesk.errors import BadInput, StoreUnwritable

NOBODY: Final = "nobody is logged in to a store; log in: rhdesk login https://store.example.org"
_LONGEST_TOKEN: Final = 512


class Token:
    """A secret that says who asks. It cannot be printed, pickled or put into JSON by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Take *text*, blanks around it left out.

        Raises:
            BadInput: It cannot be a token. The message does not hold it.
        """
        text = text.strip()
        if not text or len(text) > _LONGEST_TOKEN or not (text.isascii() and text.isprintable()):
            raise BadInput(
                "that is no token; `rhdesk server token create USER` on the store's machine makes one"
            )
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one header it belongs into."""
        return self._text

    def __repr__(self) -> str:
        return "Token('***')"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and hmac.compare_digest(self._text, other._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not pickled")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    user: str
    folder: str
    """What ``@`` stands for, ``/ada``."""

    @property
    def key(self) -> str:
        """The folder of this store and this person."""
        return hashlib.sha256(f"{self.url}\n{self.user}".encode()).hexdigest()[:24]


class Accounts:
    """The file, and the folders beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "account.json"

    def current(self) -> Account | None:
        """Who is logged in.

        Raises:
            BadInput: The file is damaged.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Account)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as exc:
            raise BadInput(
                f"{self._file} cannot be read ({exc}); log in again, what waits is kept"
            ) from exc

    def required(self) -> Account:
        """The same.

        Raises:
            BadInput: Nobody is.
        """
        account = self.current()
        if account is None:
            raise BadInput(NOBODY)
        return account

    def folder_of(self, account: Account) -> Path:
        return self.folder / account.key

    def token_of(self, account: Account) -> Token:
        """The token *account* logged in with.

        Raises:
            BadInput: It is gone.
        """
        try:
            return Token((self.folder_of(account) / "token").read_text("ascii"))
        except (OSError, UnicodeDecodeError) as exc:
            raise BadInput(
                f"the token for {account.url} cannot be read; log in again: rhdesk login {account.url}"
            ) from exc

    def keep(self, account: Account, token: Token) -> None:
        """Log *account* in, in place of whoever was.

        Raises:
            StoreUnwritable: It could not be written down; who was logged in still is.
        """
        try:
            # The token first: who is named in the file has one.
            whole_file.write(self.folder_of(account) / "token", [token.reveal().encode("ascii")])
            whole_file.write(self._file, [msgspec.json.encode(account)])
        except OSError as exc:
            raise StoreUnwritable(f"{self.folder} cannot be written: {exc.strerror}") from exc

    def forget(self, account: Account) -> None:
        """Log out; the token goes with it."""
        try:
            self._file.unlink(missing_ok=True)
            (self.folder_of(account) / "token").unlink(missing_ok=True)
        except OSError as exc:
            raise StoreUnwritable(f"{self.folder} cannot be written: {exc.strerror}") from exc


def read_url(text: str) -> str:
    """The address of a store, in one spelling.

    Raises:
        BadInput: It is none, or one over which a token would travel in the clear.
    """
    shape = "addresses look like https://store.example.org"
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise BadInput(f"{text!r} is no address of a store: {exc}; {shape}") from exc
    if parts.scheme not in {"https", "http"} or not host:
        raise BadInput(f"{text!r} is no address of a store; {shape}")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInput(
            "an address of a store holds no user, password or question; "
            f"{shape}, and the token is asked for"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadInput(
            f"{text!r} would send your token in the clear; say https://, "
            "plain http is for a store on this machine"
        )
    host = f"[{host}]" if ":" in host else host
    place = host if port is None else f"{host}:{port}"
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
