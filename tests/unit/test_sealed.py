"""The sealed keeper: what is put is read again, by nobody without the key, and never half."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    DamagedStore,
    NotFound,
    Refused,
    RhdeskError,
)
from rhdesk.models import Secret, SecretText, Values
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper

CANARY = "canary-4711-open-sesame"


def nobody(what: str) -> str | None:
    raise AssertionError(f"asked for the {what}")


def keeper(
    folder: Path, *, passphrase: Callable[[str], str | None] = nobody, key_file: str = "key"
) -> SealedKeeper:
    return SealedKeeper(
        folder / "secrets", Keys(folder / "secrets", folder / key_file, passphrase)
    )


def values(**fields: str) -> Values:
    return {field: SecretText(text) for field, text in fields.items()}


def revealed(found: Values) -> dict[str, str]:
    return {field: text.reveal() for field, text in found.items()}


def test_what_is_put_is_read_again_by_another_process(tmp_path: Path) -> None:
    seen = keeper(tmp_path).put("team/aws", values(a="1", b=CANARY), provider="aws")
    assert (seen.version, seen.fields, seen.provider) == (1, ("a", "b"), "aws")
    assert revealed(keeper(tmp_path).read("team/aws")) == {"a": "1", "b": CANARY}


def test_every_put_is_a_version_and_old_ones_stay(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    for number in range(1, 4):
        assert kept.put("x", values(v=str(number)), expect=number - 1).version == number
    with pytest.raises(AlreadyExists, match="version 3"):
        kept.put("x", values(v="late"), expect=2)
    assert [revealed(kept.read("x", version=n))["v"] for n in (1, 2, 3, 0)] == ["1", "2", "3", "3"]
    assert [each.version for each in kept.history("x")] == [3, 2, 1]
    assert [each.versions for each in kept.all()] == [3]
    with pytest.raises(NotFound, match="x@9"):
        kept.read("x", version=9)


def test_no_file_holds_a_value_and_none_is_for_others(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    kept.put("x", values(token=CANARY))
    kept.rename("x", "y")
    kept.renew_keys()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 3
    for file in files:
        assert CANARY.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    # The control: the same look finds one that was left lying about.
    (tmp_path / "planted").write_text(CANARY)
    assert any(CANARY.encode() in f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())


def test_names_and_fields_are_readable_without_the_key(tmp_path: Path) -> None:
    keeper(tmp_path).put("x", values(token=CANARY))
    (tmp_path / "key").unlink()
    kept = keeper(tmp_path)
    assert [(each.name, each.fields) for each in kept.all()] == [("x", ("token",))]
    with pytest.raises(NotFound, match="key file"):
        kept.read("x")
    with pytest.raises(NotFound, match="key file"):
        kept.put("y", values(token="t"))
    assert len(kept.all()) == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda doc: doc.update(name="y"),
        lambda doc: doc["versions"][0].update(version=7),
        lambda doc: doc["versions"][0].update(fields=["b"]),
        lambda doc: doc["versions"][0].update(provider="gcp"),
        lambda doc: doc["versions"][0].update(value=doc["versions"][1]["value"]),
        lambda doc: doc["versions"][0].update(key=doc["versions"][1]["key"]),
    ],
)
def test_what_was_changed_or_moved_does_not_open(
    tmp_path: Path, harm: Callable[[dict[str, Any]], None]
) -> None:
    kept = keeper(tmp_path)
    kept.put("x", values(a="1"), provider="aws")
    kept.put("x", values(a="2"), provider="aws")
    file = tmp_path / "secrets" / "x.json"
    document = json.loads(file.read_bytes())
    assert kept.examine() == []
    harm(document)
    name, version = document["name"], document["versions"][0]["version"]
    file.rename(file.with_name(f"{name}.json"))
    file.with_name(f"{name}.json").write_text(json.dumps(document))
    with pytest.raises(Refused, match="does not open"):
        kept.read(name, version=version)
    assert len(kept.examine()) == 1


def test_a_damaged_file_is_told_and_the_others_stay_readable(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    kept.put("x", values(a="1"))
    kept.put("y", values(a="2"))
    (tmp_path / "secrets" / "x.json").write_bytes(b"{")
    with pytest.raises(DamagedStore, match=r"x\.json"):
        kept.read("x")
    assert revealed(kept.read("y")) == {"a": "2"}
    assert "x.json" in kept.examine()[0].what


def test_a_passphrase_guards_and_a_wrong_one_opens_nothing(tmp_path: Path) -> None:
    said = ["first", "first", "wrong", "first"]
    kept = keeper(tmp_path, passphrase=lambda _: said.pop(0))
    kept.put("x", values(token=CANARY))
    kept.keys.guard_with("passphrase")
    assert not (tmp_path / "key").exists(), "nothing opens them but the passphrase"
    assert revealed(kept.read("x")) == {"token": CANARY}, "opened keys are kept until locked"
    kept.keys.lock()
    with pytest.raises(Refused, match="does not open"):
        kept.read("x")
    assert revealed(kept.read("x")) == {"token": CANARY}
    assert said == []


def test_two_passphrases_that_differ_change_nothing(tmp_path: Path) -> None:
    said = ["one", "two"]
    kept = keeper(tmp_path, passphrase=lambda _: said.pop(0))
    kept.put("x", values(token=CANARY))
    with pytest.raises(BadInput, match="differ"):
        kept.keys.guard_with("passphrase")
    assert revealed(keeper(tmp_path).read("x")) == {"token": CANARY}


def test_without_a_person_a_passphrase_is_not_waited_for(tmp_path: Path) -> None:
    said: list[str | None] = ["p", "p", None]
    kept = keeper(tmp_path, passphrase=lambda _: said.pop(0))
    kept.keys.guard_with("passphrase")
    kept.keys.lock()
    with pytest.raises(Refused, match="nobody is here"):
        kept.put("x", values(a="1"))
    assert kept.all() == []


def test_new_root_keys_leave_every_value_and_drop_the_old_key(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    for name in "abc":
        kept.put(name, values(v=name))
        kept.put(name, values(v=name * 2))
    before = {f: f.read_bytes() for f in (tmp_path / "secrets").glob("?.json")}
    old = json.loads((tmp_path / "secrets" / "keys.json").read_bytes())["keys"]
    assert kept.renew_keys() == 6
    new = json.loads((tmp_path / "secrets" / "keys.json").read_bytes())["keys"]
    assert len(new) == 1
    assert new[0]["key_id"] != old[0]["key_id"]
    for file, data in before.items():
        now = json.loads(file.read_bytes())["versions"]
        assert [v["value"] for v in now] == [v["value"] for v in json.loads(data)["versions"]]
    assert [revealed(keeper(tmp_path).read(n))["v"] for n in "abc"] == ["aa", "bb", "cc"]


KILLED = """
import os, sys
from pathlib import Path
from rhdesk.models import SecretText
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper

folder, verb, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
said = iter(["p", "p"])
kept = SealedKeeper(folder / "secrets", Keys(folder / "secrets", folder / "key", lambda _: next(said)))
count = 0
def counted(real):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == at:
            os._exit(9)
        return real(*args, **kwargs)
    return call
os.fsync, os.unlink, os.rename = counted(os.fsync), counted(os.unlink), counted(os.rename)
Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
if verb == "put":
    kept.put("a", {"v": SecretText("new")})
elif verb == "rename":
    kept.rename("a", "z")
elif verb == "renew":
    kept.renew_keys()
else:
    kept.keys.guard_with("passphrase")
print("done")
"""


@pytest.mark.parametrize("verb", ["put", "rename", "renew", "guard"])
def test_whoever_dies_at_any_durable_call_loses_no_secret(tmp_path: Path, verb: str) -> None:
    """Killed at the first, the second, ... until the verb ends by itself."""
    for at in range(1, 60):
        folder = tmp_path / str(at)
        kept = keeper(folder)
        kept.put("a", values(v="old"))
        kept.put("b", values(v="other"))
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), verb, str(at)],
            capture_output=True,
            text=True,
            check=False,
        )
        again = keeper(folder, passphrase=lambda _: "p")
        assert revealed(again.read("b")) == {"v": "other"}
        found = {each.name: revealed(again.read(each.name))["v"] for each in again.all()}
        wanted = {"put": {"old", "new"}}.get(verb, {"old"})
        assert {value for name, value in found.items() if name in {"a", "z"}} <= wanted
        assert found.keys() >= {"b"}
        assert "a" in found or "z" in found
        assert again.renew_keys() >= 2, "and it goes on from there"
        if done.stdout == "done\n":
            assert at > 2
            return
        assert done.returncode == 9, done.stderr
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    "name", ["", " x", "keys", ".x", "a/../b", "../x", "a//b", "/a", "a\nb", "x" * 300]
)
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        keeper(tmp_path).put(name, values(a="1"))
    assert not (tmp_path / "secrets").exists()


def test_a_secret_cannot_be_shown_by_accident() -> None:
    secret = SecretText(CANARY)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr({"a": secret})):
        assert CANARY not in shown
    spreads: list[Callable[[object], object]] = [
        pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode,
    ]  # fmt: skip
    for spread in spreads:
        with pytest.raises(TypeError):
            spread(secret)
    with pytest.raises(TypeError):
        hash(secret)
    assert not any(CANARY in str(getattr(secret, name, "")) for name in ("__dict__", "__doc__"))
    assert secret == SecretText(CANARY)
    assert secret != SecretText("else")


def test_an_unwritable_folder_is_told_and_nothing_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keeper(tmp_path)
    kept.put("x", values(a="1"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RhdeskError, match="No space left"):
        kept.put("x", values(a="2"))
    monkeypatch.undo()
    assert revealed(kept.read("x")) == {"a": "1"}
    assert sorted(f.name for f in (tmp_path / "secrets").iterdir()) == [
        "keys.json", "lock", "x.json",
    ]  # fmt: skip


def test_errors_hold_no_value(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    kept.put("x", values(token=CANARY))
    said: list[str] = []
    calls: list[Callable[[], object]] = [
        lambda: kept.put("x", values(token=CANARY), expect=9),
        lambda: kept.put("", values(token=CANARY)),
        lambda: kept.put("y", values(token=CANARY * 100_000)),
    ]
    for call in calls:
        with pytest.raises(RhdeskError) as caught:
            call()
        said.append(f"{caught.value} {caught.value.facts()}")
    assert not re.search(CANARY, " ".join(said))


def test_what_is_known_of_a_secret_holds_no_value() -> None:
    assert set(Secret.__struct_fields__) == {
        "name", "version", "fields", "provider", "saved_at", "keeper", "versions",
    }  # fmt: skip
