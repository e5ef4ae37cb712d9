"""Who is logged in to which store, and a token that does not get out."""

from __future__ import annotations

import copy
import pickle
import stat
import traceback
from pathlib import Path

import msgspec
import pytest

from rhdesk.errors import BadInput
from rhdesk.sync.account import Account, Accounts, Token, read_url

SECRET = "rhd_user_0123456789abcdef_" + "5ec" * 21 + "5"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("https://Store.example.org/", "https://store.example.org"),
        (" https://store.example.org:8443/names/ ", "https://store.example.org:8443/names"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://localhost:1/", "http://localhost:1"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_an_address_has_one_spelling(typed: str, read: str) -> None:
    assert read_url(typed) == read


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("http://store.example.org", "in the clear"),
        ("http://127.0.0.1.example.org", "in the clear"),
        ("http://10.0.0.1", "in the clear"),
        ("https://ada:secret@store.example.org", "no user"),
        ("https://store.example.org?token=1", "no user"),
        ("ftp://store.example.org", "look like"),
        ("store.example.org", "look like"),
        ("https://", "look like"),
        ("https://x:99999", "look like"),
        ("", "look like"),
    ],
)
def test_an_address_that_will_not_do_says_what_a_right_one_looks_like(
    typed: str, told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        read_url(typed)


def test_a_token_is_not_shown_by_anything_that_shows_things() -> None:
    token = Token(f" {SECRET}\n")
    assert token.reveal() == SECRET
    shown = [repr(token), str(token), f"{token}", f"{token:>40}", repr([token])]
    try:
        raise ValueError(token)
    except ValueError:
        shown.append(traceback.format_exc())
    assert not any("5ec5ec" in text for text in shown)
    for leave in (pickle.dumps, copy.deepcopy, msgspec.json.encode):
        with pytest.raises(TypeError):
            leave(token)
    with pytest.raises(TypeError):
        hash(token)
    assert token == Token(SECRET)
    assert token != Token("other")


@pytest.mark.parametrize("typed", ["", "  ", "with blank\x1b[2J", "ä", "x" * 600])
def test_what_is_no_token_is_refused_without_being_quoted(typed: str) -> None:
    with pytest.raises(BadInput) as caught:
        Token(typed)
    assert not typed.strip() or typed not in str(caught.value)


def test_each_store_and_person_has_a_folder_of_its_own(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "sync")
    assert accounts.current() is None
    with pytest.raises(BadInput, match="rhdesk login"):
        accounts.required()
    ada = Account(url="https://one", user="ada", folder="/ada")
    bob = Account(url="https://one", user="bob", folder="/bob")
    two = Account(url="https://two", user="ada", folder="/ada")
    for account in (ada, bob, two):
        accounts.keep(account, Token(f"{account.user}{account.url[-3:]}"))
        assert accounts.current() == account
    assert len({accounts.folder_of(each) for each in (ada, bob, two)}) == 3
    assert accounts.token_of(bob) == Token("bobone")
    for file in (tmp_path / "sync").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    accounts.forget(two)
    assert accounts.current() is None
    with pytest.raises(BadInput, match="log in again"):
        accounts.token_of(two)
    assert accounts.token_of(ada) == Token("adaone")


def test_a_damaged_file_says_that_nothing_is_lost(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    (tmp_path / "account.json").write_bytes(b'{"url": ')
    with pytest.raises(BadInput, match="log in again, what waits is kept"):
        accounts.required()
