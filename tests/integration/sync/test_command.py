"""The store from the command line: two people, two homes, the real command."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Place
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import grant


class Person(NamedTuple):
    place: Place

    def say(self, *words: str, code: int = 0) -> str:
        """What a command prints, on both streams."""
        done = self.place.rhdesk(*words, check=False)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def data(self, *words: str) -> Any:
        done = self.place.rhdesk(*words, "--json")
        return json.loads(done.stdout)["data"]


@pytest.fixture
def people(served: Served, tmp_path: Path) -> tuple[Person, Person]:
    made: list[Person] = []
    for user in ("ada", "bob"):
        home = tmp_path / user
        home.mkdir()
        place = Place(home)
        place.environ["RHDESK_TOKEN"] = served.user(user, scope="admin")
        grant(served, user, "/team")
        person = Person(place)
        assert f"{user} at {served.url}" in person.say("login", served.url)
        made.append(person)
    return made[0], made[1]


APP = "import helper\n\ndef train(alpha: float = {alpha}) -> float:\n    return helper.twice(alpha)\n"


def write_app(person: Person, alpha: float) -> None:
    person.place.script("helper.py", "def twice(x):\n    return 2 * x\n")
    person.place.script("app.py", APP.format(alpha=alpha))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_conflict_from_end_to_end(people: tuple[Person, Person]) -> None:
    ada, bob = people
    write_app(ada, 0.1)
    assert "the store has it" in ada.say("save", "app.py:train", "/team/train")
    bob.say("sync")
    assert "/team/train(alpha: float = 0.1) -> float" in bob.say("show", "/team/train")
    listed = bob.say("ls", "/team")
    assert "SYNC" in listed
    assert "current" in listed

    write_app(ada, 0.2)
    ada.say("save", "app.py:train", "/team/train")
    write_app(bob, 0.3)
    assert "in conflict" in bob.say("save", "app.py:train", "/team/train")
    assert "conflict" in bob.say("ls", "/team")
    (conflict,) = bob.data("conflicts")
    assert conflict["name"] == "/team/train"
    assert any(pointer.startswith("/signature") for pointer in conflict["fields"])
    short = conflict["conflict_id"][-12:]
    shown = bob.say("conflicts", short)
    assert "theirs by ada" in shown
    assert "OURS" in shown

    mixed = ("--field", "/code/tree=ours", "--field", "/signature/text=theirs")
    assert "no code" in bob.say("conflicts", short, *mixed, code=2)
    assert "settled" in bob.say("conflicts", short, "--field", "/code/tree=ours")
    assert bob.data("conflicts") == []
    bob.say("sync")
    ada.say("sync")
    assert "alpha: float = 0.3" in ada.say("show", "/team/train")

    assert "in conflict again" in bob.say("conflicts", short, "--undo")
    assert len(bob.data("conflicts")) == 1
    bob.say("conflicts", short, "--copy-to", "~/mine")
    assert "alpha: float = 0.3" in bob.say("show", "~/mine")
    bob.say("conflicts", short, "--take", "theirs", code=3)
    ada.say("conflicts", "--take", "ours", code=2)
    versions = ada.data("history", "/team/train")
    assert [v["author"] for v in versions] == ["bob", "ada", "ada"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_fields_are_chosen_one_by_one(people: tuple[Person, Person]) -> None:
    ada, bob = people
    save = (
        "import sys, rhdesk as rh; "
        "e = rh.env(name='e', reqs=[sys.argv[1]], setup_cmds=[sys.argv[2]]); e.save('/team/e')"
    )
    ada.place.python("-c", save, "numpy", "true")
    ada.say("sync")
    bob.say("sync")
    ada.place.python("-c", save, "numpy==1", "make a")
    bob.place.python("-c", save, "numpy==2", "make b")
    ada.say("sync")
    bob.say("sync")
    (conflict,) = bob.data("conflicts")
    assert sorted(conflict["fields"]) == ["/reqs", "/setup_cmds"]
    record = bob.data("conflicts", conflict["conflict_id"], "--field", "/reqs=ours")
    assert record["config"]["reqs"] == ["numpy==2"]
    assert record["config"]["setup_cmds"] == ["make a"]
    assert bob.data("sync")["queued"] == 0
    bob.say("conflicts", conflict["conflict_id"], "--field", "reqs=ours", code=2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_network_reads_answer_and_writes_wait(
    served: Served, people: tuple[Person, Person]
) -> None:
    ada, _ = people
    write_app(ada, 0.1)
    ada.say("save", "app.py:train", "@/train")
    served.kill()
    began = time.monotonic()
    assert "queued for the store" in ada.say("save", "app.py:train", "@/again")
    assert "/ada/train" in ada.say("ls", "@")
    assert "alpha" in ada.say("show", "@/again")
    assert "created" in ada.say("history", "@/again")
    assert time.monotonic() - began < 20, "four commands, none of which waits"
    state = ada.data("sync")
    assert (state["status"], state["queued"]) == ("offline", 1)
    assert "cannot be reached" in state["error"]
    ada.say("logout", code=2)
    served.start()
    assert ada.data("sync")["status"] == "current"
    assert "logged out" in ada.say("logout")
    assert "nobody is logged in" in ada.say("ls", "@", code=2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_code_saved_by_one_is_sent_by_the_other(people: tuple[Person, Person]) -> None:
    ada, bob = people
    write_app(ada, 0.25)
    ada.say("save", "app.py:train", "/team/train")
    bob.say("sync")
    fetch = (
        "import rhdesk as rh\n"
        "desk = rh.Desk()\n"
        "bundle = desk.bundle('/team/train')\n"
        "a = desk.asynchronous\n"
        "print(*[desk.portal.call(a._file_of_code, d).decode() for d in bundle.files.values()])\n"
        "desk.close()\n"
    )
    assert "return 2 * x" in bob.place.python("-c", fetch).stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_folder_is_shared(served: Served, people: tuple[Person, Person]) -> None:
    ada, bob = people
    write_app(ada, 0.25)
    ada.say("save", "app.py:train", "@/models/train")
    bob.say("sync")
    assert "/ada" not in bob.say("ls", "/")
    assert "bob: read" in ada.say("share", "@/models", "bob")
    bob.say("sync")
    assert "/ada/models/train" in bob.say("ls", "/")
    assert "refused" in bob.say("save", "/ada/models/train", "/ada/models/other")
    assert "folder" in ada.say("share", "@/models/train", "bob", code=2)
    ada.say("share", "@/models", "nobody", code=3)
    ada.say("share", "@/models", "bob", "--level", "none")
    bob.say("sync")
    assert "/ada/models/train" not in bob.say("ls", "/")
    assert b"/ada/models/train" not in b"".join(
        file.read_bytes() for file in (bob.place.data / "sync").rglob("mirror.db")
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_token_is_nowhere_but_in_its_file(
    served: Served, people: tuple[Person, Person]
) -> None:
    ada, _ = people
    token = ada.place.environ["RHDESK_TOKEN"]
    printed = ada.say("login") + ada.say("sync", "--json") + ada.say("config", "--json")
    served.kill()
    printed += ada.say("sync")
    assert token not in printed
    holding = [f.name for f in ada.place.home.rglob("*") if f.is_file() and token in _text(f)]
    assert holding == ["token"]


def _text(file: Path) -> str:
    return file.read_bytes().decode("latin-1")
