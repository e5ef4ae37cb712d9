"""A live name is switched to another version: functions under load, instances with their state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk.errors import AlreadyExists, BadFunction, NotFound, RunFailed, SetupFailed
from tests.e2e.load import Load
from tests.integration.env_servlet import TOKEN, EnvServlet

F = "~/f"
M = "~/counter"


@pytest.fixture
def servlet(tmp_path: Path) -> Iterator[EnvServlet]:
    made = EnvServlet(tmp_path / "cluster")
    yield made
    made.close()


def function(word: str, *, import_s: float = 0.0) -> dict[str, str]:
    """A version of a function: two files, of which only the second differs."""
    return {
        "app.py": "import time\nimport parts\ndef f(sleep_s=0.01):\n"
        "    time.sleep(sleep_s)\n    return parts.WORD\n",
        "parts.py": f"import time\ntime.sleep({import_s})\nWORD = {word!r}\n",
    }


COUNTER = """
import time
import parts
class Counter:
    def __init__(self, start=0):
        self.n = start
    def inc(self):
        self.n += 1
        return [self.n, parts.WORD]
    def slow(self, sleep_s):
        time.sleep(sleep_s)
        return self.inc()
    def pid(self):
        import os
        return os.getpid()
"""


def counter(word: str, *, source: str = COUNTER, more: str = "") -> dict[str, str]:
    return {"app.py": source + more, "parts.py": f"WORD = {word!r}\n"}


def not_in_place(files: dict[str, str]) -> dict[str, str]:
    """The same, such that only a fresh process can take it."""
    odd = "class Meta(type): pass\nclass Odd(metaclass=Meta): pass\n"
    return files | {"parts.py": odd + files["parts.py"]}


# ---- functions


def test_a_name_means_what_was_sent_first_until_it_is_switched(servlet: EnvServlet) -> None:
    one = servlet.define(F, "f", function("one"))
    two = servlet.define(F, "f", function("two"))
    assert servlet.call(F) == "one"
    seen = servlet.go_live(F, two)
    assert (seen.definition, seen.why) == (two, "")
    assert servlet.call(F) == "two"
    servlet.define(F, "f", function("one"))
    assert servlet.call(F) == "two"
    servlet.go_live(F, one)
    assert servlet.call(F) == "one"


def test_a_function_of_a_file_is_called_as_it_was_sent_last(servlet: EnvServlet) -> None:
    servlet.define("f", "f", function("one"))
    servlet.define("f", "f", function("two"))
    assert servlet.call("f") == "two"


def test_what_is_live_outlives_the_servlet_but_not_the_cluster(tmp_path: Path) -> None:
    first = EnvServlet(tmp_path / "cluster")
    first.define(F, "f", function("one"))
    first.go_live(F, first.define(F, "f", function("two")))
    first.close()
    second = EnvServlet(tmp_path / "cluster")
    assert second.call(F) == "two"
    second.close()
    again = EnvServlet(tmp_path / "cluster", cluster_id="c2")
    with pytest.raises(NotFound):
        again.call(F)
    again.close()


def test_a_damaged_pointer_is_as_none(tmp_path: Path) -> None:
    first = EnvServlet(tmp_path / "cluster")
    first.define(F, "f", function("one"))
    first.close()
    (file,) = (tmp_path / "cluster" / "envs" / "base" / "live" / "c1").iterdir()
    file.write_bytes(b"{")
    second = EnvServlet(tmp_path / "cluster")
    with pytest.raises(NotFound):
        second.call(F)
    second.define(F, "f", function("one"))
    assert second.call(F) == "one"
    second.close()


def test_code_that_cannot_be_imported_does_not_go_live(servlet: EnvServlet) -> None:
    servlet.define(F, "f", function("one"))
    for files in (
        {"app.py": "import nowhere_to_be_found\n"},
        {"app.py": "def another(): pass\n"},
    ):
        bad = servlet.define(F, "f", files)
        with pytest.raises(BadFunction, match="cannot be imported"):
            servlet.go_live(F, bad)
    dies = servlet.define(F, "f", {"app.py": "import os\nos._exit(3)\n"})
    with pytest.raises(RunFailed, match="exit code 3"):
        servlet.go_live(F, dies)
    raises = servlet.define(F, "f", {"app.py": "1 / 0\n"})
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        servlet.go_live(F, raises)
    assert servlet.call(F) == "one"


def test_a_version_that_was_never_sent_is_asked_for(servlet: EnvServlet) -> None:
    servlet.define(F, "f", function("one"))
    with pytest.raises(NotFound) as caught:
        servlet.go_live(F, "0" * 64)
    assert caught.value.kind == "definition"


def test_anothers_name_is_not_switched_unless_it_is_taken(servlet: EnvServlet) -> None:
    servlet.define(F, "f", function("one"), owner="ann")
    two = servlet.define(F, "f", function("two"), owner="bob")
    with pytest.raises(AlreadyExists, match="another project's"):
        servlet.go_live(F, two, owner="bob")
    assert servlet.call(F) == "one"
    servlet.go_live(F, two, owner="bob", take=True)
    assert servlet.call(F) == "two"


def test_calls_in_flight_finish_on_the_version_they_were_made_to(servlet: EnvServlet) -> None:
    servlet.define(F, "f", function("one"))
    two = servlet.define(F, "f", function("two"))
    found: list[object] = []
    calls = [
        threading.Thread(target=lambda: found.append(servlet.call(F, sleep_s=1.0)))
        for _ in range(6)  # more than there are workers: some wait while the name is switched
    ]
    for call in calls:
        call.start()
    time.sleep(0.3)
    servlet.go_live(F, two)
    assert servlet.call(F) == "two"
    for call in calls:
        call.join()
    assert found == ["one"] * 6


def switched_under_load(servlet: EnvServlet) -> Load:
    versions = {
        word: servlet.define(F, "f", function(word, import_s=0.3)) for word in ("one", "two")
    }
    with Load(servlet.address, TOKEN, F) as load:
        time.sleep(0.5)
        for word in ("two", "one") * 3:
            servlet.go_live(F, versions[word])
            assert set(load.after(time.monotonic())) == {word}
    return load


def test_no_call_fails_while_a_name_is_switched_under_load(servlet: EnvServlet) -> None:
    load = switched_under_load(servlet)
    assert load.failed == []
    assert {answer.value for answer in load.answers} == {"one", "two"}


DROPS_FIRST = """
class DropsFirst(serve.Switch):
    async def go_live(self, name, asked, interpreter=None):
        self._live._known.pop(name)
        for worker in list(self._pool._workers.values()):
            self._pool.kill(worker, "the version before was dropped")
        await asyncio.sleep(0.1)
        return await super().go_live(name, asked, interpreter)
serve.Switch = DropsFirst
"""


def test_the_load_notices_a_switch_that_drops_the_old_before_the_new_is_ready(
    tmp_path: Path,
) -> None:
    servlet = EnvServlet(tmp_path / "cluster", before=DROPS_FIRST)
    load = switched_under_load(servlet)
    servlet.close()
    assert load.failed != []


# ---- packages


def flavoured(word: str) -> dict[str, str]:
    """A version that says in which interpreter it runs: its variables stand for its packages."""
    return {
        "app.py": "import os, time\ndef f(sleep_s=0.01):\n    time.sleep(sleep_s)\n"
        f"    return [{word!r}, os.environ.get('FLAVOUR'), os.getppid()]\n"
    }


def test_code_and_packages_change_in_the_same_moment_and_no_call_fails(
    servlet: EnvServlet,
) -> None:
    one = servlet.define(F, "f", flavoured("one"))
    two = servlet.define(F, "f", flavoured("two"))
    flavours = {one: {}, two: {"FLAVOUR": "sweet"}}
    found: list[object] = []
    long_call = threading.Thread(target=lambda: found.append(servlet.call(F, sleep_s=2.5)[:2]))
    with Load(servlet.address, TOKEN, F) as load:
        time.sleep(0.5)
        long_call.start()
        time.sleep(0.2)
        for digest in (two, one, two, one):
            seen = servlet.take_on(flavours[digest], F, digest)
            after = [value[:2] for value in load.after(time.monotonic())]
            assert (seen.definition, seen.why) == (digest, "")
            assert after.count(["one", None] if digest == one else ["two", "sweet"]) == len(after)
    long_call.join()
    assert load.failed == []
    told = {tuple(answer.value[:2]) for answer in load.answers}
    assert told == {("one", None), ("two", "sweet")}
    assert found == [["one", None]]


def test_an_interpreter_that_nothing_runs_in_any_more_ends(servlet: EnvServlet) -> None:
    one = servlet.define(F, "f", flavoured("one"))
    _, _, before = servlet.call(F)
    servlet.take_on({"FLAVOUR": "sweet"}, F, one)
    _, flavour, now = servlet.call(F)
    assert (flavour, now != before) == ("sweet", True)
    for _ in range(100):
        if not Path(f"/proc/{before}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{before}").exists()


def test_new_packages_alone_are_taken_on_by_what_is_called_next(servlet: EnvServlet) -> None:
    servlet.define(F, "f", flavoured("one"))
    assert servlet.call(F)[1] is None
    servlet.take_on({"FLAVOUR": "sweet"})
    assert servlet.call(F)[1] == "sweet"


def test_an_interpreter_that_does_not_start_changes_nothing(servlet: EnvServlet) -> None:
    servlet.define(F, "f", flavoured("one"))
    two = servlet.define(F, "f", flavoured("two"))
    for python in ("/nowhere/python", "/bin/false"):
        with pytest.raises((SetupFailed, RunFailed)):
            servlet.take_on({}, F, two, python=python)
    broken = servlet.define(F, "f", {"app.py": "1 / 0\n"})
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        servlet.take_on({"FLAVOUR": "sweet"}, F, broken)
    assert servlet.call(F)[:2] == ["one", None]


def test_an_instance_takes_its_state_along_to_other_packages(servlet: EnvServlet) -> None:
    source = COUNTER.replace("parts.WORD", "__import__('os').environ.get('FLAVOUR')")
    one = servlet.define(M, "Counter", counter("one", source=source), kind="module")
    servlet.make(M, one, 10)
    assert servlet.call(M, "inc") == [11, None]
    assert servlet.take_on({"FLAVOUR": "sweet"}, M, one).instance == "moved"
    assert servlet.call(M, "inc") == [12, "sweet"]
    servlet.take_on({"FLAVOUR": "sour"})
    assert servlet.call(M, "inc") == [13, "sweet"]


# ---- instances


def test_an_instance_keeps_its_state_when_code_it_uses_changes(servlet: EnvServlet) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    two = servlet.define(M, "Counter", counter("two"), kind="module")
    servlet.make(M, one, 10)
    assert servlet.call(M, "inc") == [11, "one"]
    assert servlet.go_live(M, two).instance == "moved"
    assert servlet.call(M, "inc") == [12, "two"]
    assert servlet.go_live(M, two).instance == "kept"
    assert servlet.go_live(M, one).instance == "moved"
    assert servlet.call(M, "inc") == [13, "one"]


def test_layout_and_comments_are_no_change_of_a_class(servlet: EnvServlet) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    files = counter("two", source="# a comment\n\n" + COUNTER, more="\n\ndef helper(): pass\n")
    servlet.make(M, one, 10)
    two = servlet.define(M, "Counter", files, kind="module")
    assert servlet.go_live(M, two).instance == "moved"
    assert servlet.call(M, "inc") == [11, "two"]


def test_an_instance_whose_class_changed_is_made_anew_as_it_was_made(servlet: EnvServlet) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    servlet.make(M, one, 10)
    assert servlet.call(M, "inc") == [11, "one"]
    changed = counter("two", source=COUNTER.replace("+= 1", "+= 100"))
    two = servlet.define(M, "Counter", changed, kind="module")
    old_call: list[object] = []
    thread = threading.Thread(target=lambda: old_call.append(servlet.call(M, "slow", sleep_s=1.0)))
    thread.start()
    time.sleep(0.3)
    assert servlet.go_live(M, two).instance == "made anew"
    assert servlet.call(M, "inc") == [110, "two"]
    thread.join()
    assert old_call == [[12, "one"]]


def test_an_instance_that_cannot_be_made_of_the_new_class_stays(servlet: EnvServlet) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    servlet.make(M, one, 10)
    changed = counter("two", source=COUNTER.replace("start=0", "*, begin"))
    two = servlet.define(M, "Counter", changed, kind="module")
    with pytest.raises(RunFailed, match="TypeError"):
        servlet.go_live(M, two)
    assert servlet.call(M, "inc") == [11, "one"]
    assert servlet.live(M) == one


def test_state_that_cannot_be_moved_stays_with_its_code(servlet: EnvServlet) -> None:
    source = COUNTER.replace("self.n = start", "self.n = start; self.clock = time.sleep; "
                             "self.lock = __import__('threading').Lock()")  # fmt: skip
    files = [not_in_place(counter(word, source=source)) for word in ("one", "two")]
    one, two = (servlet.define(M, "Counter", each, kind="module") for each in files)
    servlet.make(M, one, 10)
    seen = servlet.go_live(M, two)
    assert "cannot be moved" in seen.why
    assert seen.definition == one
    assert servlet.call(M, "inc") == [11, "one"]


def test_an_instance_in_the_middle_of_a_long_call_is_not_torn_out_of_it(
    servlet: EnvServlet,
) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    two = servlet.define(M, "Counter", counter("two"), kind="module")
    servlet.make(M, one, 10)
    run_id = servlet.start(M, one, "slow", 2.0)
    time.sleep(0.2)
    seen = servlet.go_live(M, two)
    assert "did not end within" in seen.why
    assert servlet.call(M, "inc") == [11, "one"]
    while servlet.seen(run_id).status == "running":
        time.sleep(0.05)
    assert servlet.go_live(M, two).instance == "moved"
    assert servlet.call(M, "inc") == [13, "two"]


def test_no_call_of_an_instance_is_lost_or_doubled_while_its_code_changes(
    servlet: EnvServlet,
) -> None:
    versions = {
        word: servlet.define(M, "Counter", counter(word), kind="module") for word in ("one", "two")
    }
    servlet.make(M, versions["one"], 0)
    with Load(servlet.address, TOKEN, M, method="inc") as load:
        for word in ("two", "one") * 4:
            time.sleep(0.2)
            assert servlet.go_live(M, versions[word]).instance == "moved"
    assert load.failed == []
    counted = sorted(answer.value[0] for answer in load.answers)
    assert counted == list(range(1, len(load.answers) + 1))
    assert {answer.value[1] for answer in load.answers} == {"one", "two"}


def test_the_process_of_a_replaced_instance_ends(servlet: EnvServlet) -> None:
    files = [not_in_place(counter(word)) for word in ("one", "two")]
    one, two = (servlet.define(M, "Counter", each, kind="module") for each in files)
    servlet.make(M, one, 3)
    old = servlet.call(M, "pid")
    assert servlet.go_live(M, two).instance == "moved"
    assert servlet.call(M, "inc") == [4, "two"]
    for _ in range(100):
        if not Path(f"/proc/{old}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{old}").exists()
    assert servlet.call(M, "pid") != old


def test_an_instance_made_again_of_other_code_runs_that_code(servlet: EnvServlet) -> None:
    one = servlet.define(M, "Counter", counter("one"), kind="module")
    servlet.make(M, one, 1)
    two = servlet.define(M, "Counter", counter("two"), kind="module")
    servlet.make(M, two, 5)
    assert servlet.call(M, "inc") == [6, "two"]
