"""``rhdesk secret``: what a person and a script do with it, and where no value may be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rhdesk as rh
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, DamagedStore, NotFound, Refused, StoreUnwritable
from rhdesk.models import SecretText
from tests.testbed.vault import vault

CANARY = "canary-4711-open-sesame"


def secret(*args: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", "secret", *args],
        input=stdin,
        env=os.environ | environ,
        cwd=Path.home(),
        capture_output=True,
        text=True,
        check=False,
    )


def data(done: subprocess.CompletedProcess[str]) -> Any:
    document = json.loads(done.stdout)
    assert document["ok"], document
    return document["data"]


def test_a_secret_is_kept_shown_masked_and_revealed_when_asked() -> None:
    kept = data(secret("put", "openai", "api_key", "--stdin", "--json", stdin=f"{CANARY}\n"))
    assert (kept["version"], kept["fields"]) == (1, ["api_key"])
    for args in (["get", "openai"], ["get", "openai", "--json"], ["ls", "--json"], ["ls"],
                 ["history", "openai", "--json"]):  # fmt: skip
        done = secret(*args)
        assert done.returncode == 0
        assert CANARY not in done.stdout + done.stderr
    assert secret("get", "openai", "api_key", "--reveal").stdout == CANARY
    assert data(secret("get", "openai", "--reveal", "--json")) == {"api_key": CANARY}
    files = [file for file in Path.home().rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]


def test_a_value_is_never_an_argument() -> None:
    done = secret("put", "openai", f"api_key={CANARY}")
    assert done.returncode == BadInput.exit_code
    assert "seen by every user" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert data(secret("ls", "--json")) == []


def test_values_come_from_variables_files_and_objects(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(f"{CANARY}\n")
    args = ["put", "x", "--from-env", "a=A_KEY", "--from-file", f"b={tmp_path / 'key.pem'}"]
    assert secret(*args, A_KEY="1").returncode == 0
    assert data(secret("get", "x", "--reveal", "--json")) == {"a": "1", "b": f"{CANARY}\n"}
    assert secret("put", "x", "--stdin", stdin='{"c": "3", "d": "4"}').returncode == 0
    assert data(secret("get", "x", "--reveal", "--json")) == {"c": "3", "d": "4"}
    assert secret("get", "x", "a", "--version", "1", "--reveal").stdout == "1"
    for wrong, said in (
        (["put", "x", "--from-env", "a=NOT_SET"], "NOT_SET"),
        (["put", "x", "--from-file", "a=/none"], "/none"),
        (["put", "x", "--stdin"], "one FIELD"),
        (["put", "x"], "which fields"),
        (["put", "x", "a"], "nobody is here"),
        (["put", "x", "a", "--stdin", "--expect", "7"], "version 2"),
        (["get", "x", "nope"], "no field of x"),
        (["get", "y"], "no secret"),
        (["rm", "x"], "--yes"),
    ):
        done = secret(*wrong)
        assert done.returncode in {2, 3, 4}, wrong
        assert said in done.stderr
    assert data(secret("ls", "--json"))[0]["version"] == 2


def test_a_providers_credentials_go_round() -> None:
    file = Path.home() / ".aws" / "credentials"
    file.parent.mkdir()
    file.write_text(f"[default]\naws_access_key_id = A\naws_secret_access_key = {CANARY}\n")
    found = {p["name"]: p["found"] for p in data(secret("providers", "--json"))}
    assert found["aws"] == str(file)
    assert data(secret("load", "aws", "--json"))["version"] == 1
    assert data(secret("load", "aws", "--json"))["version"] == 1, "the same makes no version"
    file.unlink()
    assert secret("load", "aws").returncode == NotFound.exit_code
    assert data(secret("save", "aws", "--json")) == [str(file)]
    assert CANARY in file.read_text()
    assert secret("put", "mine", "k", "--stdin", stdin="v").returncode == 0
    assert "nobody's" in secret("save", "mine").stderr


def test_without_the_key_file_nothing_opens_and_nothing_is_lost() -> None:
    assert secret("put", "x", "k", "--stdin", stdin=CANARY).returncode == 0
    key = Path.home() / ".config" / "rhdesk" / "secrets.key"
    aside = key.rename(Path.home() / "aside")
    done = secret("get", "x")
    assert done.returncode == NotFound.exit_code
    assert "secrets.key" in done.stderr
    aside.rename(key)
    assert secret("renew-keys").returncode == 0
    assert secret("get", "x", "k", "--reveal").stdout == CANARY
    assert data(secret("guard", "--json")) == {"guard": "file"}


def test_the_spelling_of_v0_0_12(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(rh.Secrets.builtin_providers(as_str=True)) >= {"aws", "gcp", "ssh", "sky", "lambda"}
    rh.Secrets.put("custom", secret={"token": CANARY})
    assert rh.Secrets.get("custom") == {"token": CANARY}
    rh.Secrets.update("custom", {"more": "1"})
    assert rh.Secrets.get("custom") == {"token": CANARY, "more": "1"}
    monkeypatch.setenv("HF_TOKEN", CANARY)
    assert rh.Secrets.enabled_providers(as_str=True) == ["huggingface"]
    assert rh.Secrets.load_provider_secrets() == {"huggingface": {"token": CANARY}}
    rh.Secrets.extract_and_upload(providers=["huggingface"])
    rh.Secrets.download_into_env(providers=["huggingface"])
    assert (Path.home() / ".cache" / "huggingface" / "token").read_text() == CANARY
    rh.Secrets.delete_from_vault(["custom"])
    with pytest.raises(NotFound):
        rh.Secrets.get("custom")
    with pytest.raises(BadInput, match="group"):
        rh.Secrets.get("aws", group="team")


def test_a_vault_is_used_verified_and_left() -> None:
    with vault() as serving:
        token = serving.root.text
        done = secret("keeper", "vault", serving.address, "--stdin", stdin="hvs.wrong")
        assert done.returncode == Refused.exit_code
        assert "hvs.wrong" not in done.stderr
        done = secret("keeper", "vault", serving.address, "--stdin", "--json", stdin=token)
        assert data(done)["name"] == "vault"
        assert secret("put", "x", "k", "--stdin", stdin=CANARY).returncode == 0
        assert serving.entries["rhdesk/x"]["versions"][1]["data"] == {"k": CANARY}
        done = secret("verify", "--json")
        assert done.returncode == 0, done.stdout
        assert all(check["ok"] for check in data(done))
        serving.fault = "sealed"
        assert secret("get", "x", "k", "--reveal").stdout == CANARY, "what was read is usable"
        assert secret("verify").returncode == 1
        serving.fault = ""
        assert data(secret("keeper", "sealed", "--json"))["name"] == "sealed"
        assert data(secret("ls", "--json")) == []
        files = [file for file in Path.home().rglob("*") if file.is_file()]
        assert not [f for f in files if token.encode() in f.read_bytes()]


@pytest.mark.skipif("RHDESK_VAULT_ADDR" not in os.environ, reason="RHDESK_VAULT_ADDR names none")
def test_a_real_vault_keeps_the_promises() -> None:
    address, token = os.environ["RHDESK_VAULT_ADDR"], os.environ["RHDESK_VAULT_TOKEN"]
    assert secret("keeper", "vault", address, "--stdin", stdin=token).returncode == 0
    assert secret("verify").returncode == 0


def audit(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", "audit", *args],
        cwd=Path.home(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_whatever_opens_or_changes_a_secret_is_written_down() -> None:
    for args, stdin in (
        (["put", "a", "k", "--stdin"], CANARY),
        (["get", "a", "--reveal"], ""),
        (["rename", "a", "b"], ""),
        (["renew-keys"], ""),
        (["rm", "b", "--yes"], ""),
        (["get", "b"], ""),
    ):
        secret(*args, stdin=stdin)
    rows = data(audit("--json"))
    assert [(row["action"], row["about"]) for row in reversed(rows)] == [
        ("secret.put", "a"),
        ("secret.read", "a"),
        ("secret.rename", "a"),
        ("secret.renew", "every secret"),
        ("secret.delete", "b"),
        ("secret.read", "b"),
    ]
    assert CANARY not in json.dumps(rows)
    assert len(data(audit("--matching", "rename A", "--json"))) == 1
    head = audit("verify").stdout.strip()
    assert audit("verify", "--head", head).returncode == 0
    assert audit("verify", "--head", "7").returncode == BadInput.exit_code


def test_a_secret_is_not_opened_when_that_cannot_be_written_down() -> None:
    assert secret("put", "a", "k", "--stdin", stdin=CANARY).returncode == 0
    (file,) = Path.home().rglob("audit.jsonl")
    head = audit("verify").stdout.strip()
    file.rename(file.with_name("aside"))
    file.mkdir()
    done = secret("get", "a", "--reveal")
    assert done.returncode == StoreUnwritable.exit_code
    assert CANARY not in done.stdout
    file.rmdir()
    file.write_text("")
    done = secret("get", "a", "--reveal")
    assert done.returncode == DamagedStore.exit_code
    assert CANARY not in done.stdout
    file.with_name("aside").rename(file)
    assert secret("get", "a", "k", "--reveal").stdout == CANARY
    assert audit("verify", "--head", head).returncode == 0
    file.write_text(file.read_text().replace("secret.read", "secret.list"))
    assert audit("verify").returncode == DamagedStore.exit_code


class Person:
    """Somebody at the desk who types what they know."""

    def __init__(self, *types: str) -> None:
        self._types = list(types)
        self.asked: list[str] = []

    async def trust_host(self, host: str, key_type: str, fingerprint: str, note: str) -> bool:
        return False

    async def secret(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        return self._types.pop(0) if self._types else None


async def test_a_passphrase_is_asked_of_whoever_is_there(tmp_path: Path) -> None:
    async with AsyncDesk.open(asks=Person("open", "closed")) as desk:
        await desk.put_secret("mine", {"key": SecretText(CANARY)})
        with pytest.raises(BadInput, match="differ"):
            await desk.guard_secrets("passphrase")
    person = Person("open", "open")
    async with AsyncDesk.open(asks=person) as desk:
        await desk.guard_secrets("passphrase")
    assert len(person.asked) == 2
    async with AsyncDesk.open(asks=Person("open")) as desk:
        assert (await desk.read_secret("mine"))["key"].reveal() == CANARY
        assert (await desk.read_secret("mine"))["key"].reveal() == CANARY, "asked once"
    for nobody in (None, Person(), Person("wrong")):
        async with AsyncDesk.open(asks=nobody) as desk:
            with pytest.raises(Refused):
                await desk.read_secret("mine")
    file = tmp_path / "passphrase"
    file.write_text("open\n")
    told = secret("get", "mine", "--reveal", "--json", RHDESK_PASSPHRASE_FILE=str(file))
    assert data(told) == {"key": CANARY}
    assert "RHDESK_PASSPHRASE_FILE" in secret("get", "mine", "--reveal").stderr
    missing = secret("get", "mine", "--reveal", RHDESK_PASSPHRASE_FILE=str(tmp_path / "no"))
    assert missing.returncode == BadInput.exit_code
