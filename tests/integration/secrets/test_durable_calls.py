"""Every durable call of a change of secrets is killed once, and fails once; no secret is lost.

Durable is what changes the disk. Acknowledged is what the work wrote to a pipe after the keeper had
returned.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from rhdesk.errors import NotFound, RhdeskError
from rhdesk.models import SecretText
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper
from tests.testbed import injector
from tests.testbed.injector import Injector, Outcome, What

WORK: Final = """
from pathlib import Path
from rhdesk import whole_file
from rhdesk.errors import RhdeskError
from rhdesk.models import SecretText
from rhdesk.secrets import keys as keys_module, sealed
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper

def hasty(file, pieces, durable=False):
    # What a hasty program does: the file itself is written.
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb", buffering=0) as stream:
        for piece in pieces:
            stream.write(piece)

def work(asked, say):
    if asked["hasty"]:
        whole_file.write = hasty
    root = Path(asked["root"])
    keeper = SealedKeeper(root / "secrets", Keys(root / "secrets", root / "key", lambda _: "open"))
    match asked["scenario"]:
        case "first":
            keeper.put("new", {"key": SecretText("1")})
        case "put":
            keeper.put("x", {"key": SecretText("2")})
        case "rename":
            keeper.rename("x", "y")
        case "delete":
            keeper.delete("x")
        case "renew":
            keeper.renew_keys()
        case "guard":
            keeper.keys.guard_with("passphrase")
    say("done")
"""

BEFORE: Final = {"x": "1", "keep": "1"}
AFTER: Final = {
    "first": BEFORE | {"new": "1"},
    "put": BEFORE | {"x": "2"},
    "rename": {"y": "1", "keep": "1"},
    "delete": {"keep": "1"},
    "renew": BEFORE,
    "guard": BEFORE,
}


class Bench:
    def __init__(self, folder: Path, library: Path) -> None:
        self.root, self._saved = folder / "root", folder / "saved"
        keeper = self.keeper()
        for name, value in BEFORE.items():
            keeper.put(name, {"key": SecretText(value)})
        shutil.copytree(self.root, self._saved)
        self._injector = Injector(library, folder, self.root, WORK, os.environ)

    def close(self) -> None:
        self._injector.__exit__(None, None, None)

    def keeper(self) -> SealedKeeper:
        folder = self.root / "secrets"
        return SealedKeeper(folder, Keys(folder, self.root / "key", lambda _: "open"))

    def run(self, scenario: str, what: What, at: int, *, hasty: bool) -> Outcome:
        shutil.rmtree(self.root)
        shutil.copytree(self._saved, self.root)
        asked = {"root": str(self.root), "scenario": scenario, "hasty": hasty}
        return self._injector.run(asked, what, at)

    def wrong(self, scenario: str, outcome: Outcome) -> Iterator[str]:
        after = AFTER[scenario]
        try:
            keeper = self.keeper()
            there = {each.name: keeper.read(each.name)["key"].reveal() for each in keeper.all()}
            flaws = [each.what for each in keeper.examine()]
            if flaws:
                yield f"does not open: {flaws}"
            keeper.put("afterwards", {"key": SecretText("3")})
            if self.keeper().read("afterwards")["key"].reveal() != "3":
                yield "what is put afterwards is not there"
            if "x" in there and keeper.read("x", version=1)["key"].reveal() != "1":
                yield "the version before is not there"
        except RhdeskError as exc:
            yield f"cannot go on: {type(exc).__name__}: {exc}"
            return
        between = [BEFORE | {"y": "1"}] if scenario == "rename" else []
        if there not in (BEFORE, after, *between):
            yield f"neither before nor after: {there}"
        if outcome.said == ["done"] and there != after:
            yield f"said that it was done, and there is {there}"
        if outcome.raised is not None and not outcome.raised[2]:
            yield f"raised {outcome.raised[:2]}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return injector.build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def bench(tmp_path: Path, library: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, library)
    yield made
    made.close()


def sweep(
    bench: Bench, scenario: str, what: What, *, hasty: bool = False
) -> tuple[int, list[str]]:
    whole = bench.run(scenario, What.NOTHING, 0, hasty=hasty)
    assert whole.said == ["done"], whole
    wrong: list[str] = []
    for at in range(1, whole.calls + 1):
        outcome = bench.run(scenario, what, at, hasty=hasty)
        wrong += [f"{what.name} at {at}: {each}" for each in bench.wrong(scenario, outcome)]
    return whole.calls, wrong


@pytest.mark.parametrize("scenario", AFTER)
@pytest.mark.parametrize("what", [What.KILL, What.GIVE_EIO, What.DISK_FULL, What.TORN_WRITE])
def test_no_secret_is_lost(bench: Bench, scenario: str, what: What) -> None:
    calls, wrong = sweep(bench, scenario, what)
    assert wrong == []
    assert calls >= 2, "nothing was written"


def test_a_file_that_is_written_in_place_is_found_out(bench: Bench) -> None:
    """The control: what loses secrets must be seen to."""
    _, wrong = sweep(bench, "put", What.KILL, hasty=True)
    _, torn = sweep(bench, "renew", What.TORN_WRITE, hasty=True)
    assert wrong
    assert torn


def test_without_its_key_nothing_opens_and_nothing_is_changed(bench: Bench) -> None:
    (bench.root / "key").unlink()
    with pytest.raises(NotFound, match="key file"):
        bench.keeper().read("x")
    with pytest.raises(NotFound, match="key file"):
        bench.keeper().put("x", {"key": SecretText("2")})
    shutil.copy(bench._saved / "key", bench.root / "key")
    assert bench.keeper().read("x")["key"].reveal() == "1"
