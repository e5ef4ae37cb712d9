"""A worker process moves to the next tree in place: what changed runs again, the rest stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk.errors import BadFunction
from tests.integration.env_servlet import EnvServlet

F = "~/f"
M = "~/counter"

APP = """
import os
import kept
import model
from parts import WORD
def f():
    kept.CALLS.append(1)
    return [WORD, model.SHAPE.area(), len(kept.CALLS), os.getpid()]
"""
KEPT = "CALLS = []\n"
MODEL = "import shapes\nSHAPE = shapes.Square(3)\n"
SHAPES = (
    "class Square:\n    def __init__(self, a): self.a = a\n    def area(self): return self.a**2\n"
)


def project(**changed: str) -> dict[str, str]:
    files = {"app": APP, "kept": KEPT, "model": MODEL, "shapes": SHAPES, "parts": "WORD = 'one'\n"}
    return {f"{name}.py": text for name, text in (files | changed).items()}


@pytest.fixture
def servlet(tmp_path: Path) -> Iterator[EnvServlet]:
    made = EnvServlet(tmp_path / "cluster")
    yield made
    made.close()


def test_a_change_is_in_the_next_call_and_other_modules_keep_their_state(
    servlet: EnvServlet,
) -> None:
    servlet.define(F, "f", project())
    word, area, calls, pid = servlet.call(F)
    assert (word, area, calls) == ("one", 9, 1)
    servlet.go_live(F, servlet.define(F, "f", project(parts="WORD = 'two'\n")))
    assert servlet.call(F) == ["two", 9, 2, pid]


def test_what_was_made_of_a_changed_class_while_importing_is_made_again(
    servlet: EnvServlet,
) -> None:
    servlet.define(F, "f", project())
    pid = servlet.call(F)[-1]
    changed = SHAPES.replace("self.a**2", "self.a * 100")
    servlet.go_live(F, servlet.define(F, "f", project(shapes=changed)))
    assert servlet.call(F) == ["one", 300, 2, pid]


def test_a_module_that_is_new_is_imported(servlet: EnvServlet) -> None:
    servlet.define(F, "f", project())
    pid = servlet.call(F)[-1]
    files = project(parts="from fresh import WORD\n") | {"fresh.py": "WORD = 'fresh'\n"}
    servlet.go_live(F, servlet.define(F, "f", files))
    assert servlet.call(F) == ["fresh", 9, 2, pid]


@pytest.mark.parametrize(
    ("broken", "place"),
    [("WORD = (\n", "parts.py:1: SyntaxError"), ("\n1 / 0\n", "parts.py:2: ZeroDivisionError")],
)
def test_a_mistake_keeps_the_old_code_serving_and_the_next_good_save_heals_it(
    servlet: EnvServlet, broken: str, place: str
) -> None:
    servlet.define(F, "f", project())
    pid = servlet.call(F)[-1]
    with pytest.raises(BadFunction, match=place):
        servlet.go_live(F, servlet.define(F, "f", project(parts=broken)))
    assert servlet.call(F) == ["one", 9, 2, pid]
    servlet.go_live(F, servlet.define(F, "f", project(parts="WORD = 'healed'\n")))
    assert servlet.call(F) == ["healed", 9, 3, pid]


def test_what_cannot_be_taken_in_place_gets_a_fresh_process(servlet: EnvServlet) -> None:
    meta = "class Meta(type): pass\nclass Odd(metaclass=Meta): pass\n"
    servlet.define(F, "f", project(parts=meta + "WORD = 'one'\n"))
    pid = servlet.call(F)[-1]
    servlet.go_live(F, servlet.define(F, "f", project(parts=meta + "WORD = 'two'\n")))
    word, _, calls, now = servlet.call(F)
    assert (word, calls) == ("two", 1)
    assert now != pid


def test_a_module_that_is_gone_gets_a_fresh_process(servlet: EnvServlet) -> None:
    servlet.define(F, "f", project())
    pid = servlet.call(F)[-1]
    files = project(app=APP.replace("from parts import WORD", "WORD = 'without'"))
    del files["parts.py"]
    servlet.go_live(F, servlet.define(F, "f", files))
    word, _, calls, now = servlet.call(F)
    assert (word, calls) == ("without", 1)
    assert now != pid


def test_instances_of_a_class_that_did_not_change_stay_instances_in_their_process(
    servlet: EnvServlet,
) -> None:
    source = (
        "import os, threading\nfrom shapes import Square\nWORD = 'one'\n"
        "class Counter:\n    def __init__(self):\n        self.lock = threading.Lock()\n"
        "        self.held = Square(2)\n"
        "    def look(self):\n"
        "        return [WORD, isinstance(self, Counter), isinstance(self.held, Square),"
        " os.getpid()]\n"
    )
    one = servlet.define(M, "Counter", project(app=source), kind="module")
    servlet.make(M, one)
    pid = servlet.call(M, "look")[-1]
    changed = source.replace("WORD = 'one'", "# above\n\nWORD = 'two'")
    shapes = SHAPES + "\ndef another(): pass\n"
    two = servlet.define(M, "Counter", project(app=changed, shapes=shapes), kind="module")
    assert servlet.go_live(M, two).instance == "moved"
    assert servlet.call(M, "look") == ["two", True, True, pid]


def test_tracebacks_show_the_line_where_it_stands_now(servlet: EnvServlet) -> None:
    source = "class Counter:\n    def fail(self):\n        raise ValueError('here')\n"
    one = servlet.define(M, "Counter", project(app=source), kind="module")
    servlet.make(M, one)
    moved = servlet.define(M, "Counter", project(app="# one\n# two\n" + source), kind="module")
    servlet.go_live(M, moved)
    run_id = servlet.start(M, moved, "fail")
    while (seen := servlet.seen(run_id)).status == "running":
        time.sleep(0.01)
    assert seen.failed is not None
    assert "line 5, in fail" in seen.failed.traceback
    assert "raise ValueError('here')" in seen.failed.traceback


def test_a_call_in_flight_finishes_on_its_tree(servlet: EnvServlet) -> None:
    slow = (
        "import time\nimport parts\ndef f(sleep_s=0.0):\n"
        "    time.sleep(sleep_s)\n    return parts.WORD\n"
    )
    servlet.define(F, "f", project(app=slow))
    found: list[object] = []
    call = threading.Thread(target=lambda: found.append(servlet.call(F, sleep_s=1.0)))
    call.start()
    time.sleep(0.3)
    two = servlet.define(F, "f", project(app=slow, parts="WORD = 'two'\n"))
    servlet.go_live(F, two)
    assert servlet.call(F) == "two"
    call.join()
    assert found == ["one"]
