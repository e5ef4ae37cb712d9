"""The main job through Python: functions and classes on a real cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

PRELUDE = """
import json, sys
import rhdesk as rh
from work import *
def show(value):
    print("@@" + json.dumps(value))
"""

WORK = '''
import os
import sys


def add(x, y=1):
    return x + y


def talk(n):
    """Prints.

    Args:
        n: How many lines.
    """
    for i in range(n):
        print("line", i)
    print("a warning", file=sys.stderr)
    return n


def count(n):
    for i in range(n):
        yield i


async def later(x):
    return x * 2


async def later_many(n):
    for i in range(n):
        yield i


class OddError(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def boom():
    raise OddError(7, "no good")


def unpicklable_boom():
    class Local(Exception):
        lock = None
    error = Local("hidden")
    import threading
    error.lock = threading.Lock()
    raise error


def die():
    os._exit(3)


def low_level():
    os.write(1, b"from C\\n")
    os.system("echo from a child")


class Counter:
    def __init__(self, start=0):
        self.n = start

    def inc(self, by=1):
        self.n += by
        return self.n

    async def inc_later(self):
        return self.inc()

    def each(self):
        yield from range(self.n)

    @property
    def double(self):
        return self.n * 2
'''


def run(place: Place, body: str, *, check: bool = True) -> list[Any]:
    """What *body* showed."""
    place.script("work.py", WORK)
    file = place.script("main_script.py", PRELUDE + body)
    done = place.python(str(file), check=check)
    return [json.loads(line[2:]) for line in done.stdout.splitlines() if line.startswith("@@")]


def test_a_function_goes_out_and_its_value_comes_back(place: Place) -> None:
    assert run(place, "f = rh.function(add).to('here'); show([f(1), f(1, y=2), f.call(x=5)])") == [
        [2, 3, 6]
    ]


def test_lines_are_shown_while_the_function_runs_on_the_stream_they_were_printed_to(
    place: Place,
) -> None:
    place.script("work.py", WORK)
    file = place.script(
        "talks.py", "import rhdesk as rh\nfrom work import talk\nrh.function(talk).to('here')(3)\n"
    )
    done = place.python(str(file))
    assert done.stdout.splitlines() == ["line 0", "line 1", "line 2"]
    assert done.stderr.splitlines() == ["a warning"]


def test_generators_stream_and_coroutines_are_awaited(place: Place) -> None:
    body = """
import asyncio
c = rh.function(count).to('here')
show(list(c(300)))
first = c(10**9)
show([next(first), next(first)])
first.close()
show(asyncio.run(rh.function(later).to('here')(4)))
async def all_of():
    return [x async for x in rh.function(later_many).to('here')(3)]
show(asyncio.run(all_of()))
from rhdesk.handles.session import session
show(session().desk.runs(limit=3)[2].status)
"""
    assert run(place, body) == [list(range(300)), [0, 1], 8, [0, 1, 2], "cancelled"]


def test_exceptions_come_back_as_their_own_class_with_the_far_traceback(place: Place) -> None:
    body = """
try:
    rh.function(boom).to('here')()
except OddError as error:
    show([str(error), error.code, "raise OddError" in error.__notes__[0]])
try:
    rh.function(unpicklable_boom).to('here')()
except Exception as error:
    show([type(error).__name__, str(error), "raise error" in error.__notes__[0]])
try:
    rh.function(die).to('here')()
except rh.RhdeskError as error:
    show([type(error).__name__, "exit code 3" in str(error)])
show(rh.function(add).to('here')(1))
"""
    assert run(place, body) == [
        ["no good", 7, True],
        ["Local", "hidden", True],
        ["RunLost", True],
        2,
    ]


def test_map_spreads_over_workers_and_keeps_order(place: Place) -> None:
    body = """
f = rh.function(add).to('here')
show(f.map(range(1000)) == [x + 1 for x in range(1000)])
show(f.map([1, 2], [10, 20]))
show(f.starmap([(1, 2), (3, 4)]))
def pid_of(_):
    import os, time
    time.sleep(0.2)
    return os.getpid()
show(len(set(rh.function(pid_of).to('here').map(range(4)))) > 1)
def fails_at_three(x):
    if x == 3: raise ValueError("three")
    return x
try:
    rh.function(fails_at_three).to('here').map(range(10))
except ValueError as error:
    show(str(error))
"""
    assert run(place, body) == [True, [11, 22], [3, 7], True, "three"]


def test_results_can_stay_on_the_cluster_and_be_passed_on(place: Place) -> None:
    body = """
f = rh.function(add).to('here')
kept = f.remote(5)
show([kept.fetch(), f(kept), f.get(f.run(7))])
show([f.get_or_call("six", True, True, 5), f.get_or_call("six", True, True, 100)])
here = rh.here
here.put("pair", {"a": (1, 2)})
show([here.get("pair") == {"a": (1, 2)}, "pair" in here.keys()])
here.rename("pair", "couple")
show([here.get("pair", default="gone"), here.delete(["couple", "never"])])
try:
    here.get("couple", default=KeyError)
except KeyError as error:
    show(str(error))
"""
    assert run(place, body) == [[6, 7, 8], [6, 6], [True, True], ["gone", ["couple"]], "'couple'"]


def test_a_module_keeps_its_state_between_calls_and_programs(place: Place) -> None:
    body = """
Remote = rh.module(Counter).to('here')
c = Remote(10, name='~/counter')
show([c.inc(), c.inc(by=5), c.double, c.remote.n, list(c.each())[:2]])
c.n = 3
import asyncio
show([c.inc(), asyncio.run(c.inc_later())])
c.save()
try:
    c.incc()
except rh.RhdeskError as error:
    show("inc" in str(error))
"""
    assert run(place, body) == [[11, 16, 32, 16, [0, 1]], [4, 5], True]
    assert run(place, "show(rh.load('~/counter').inc())") == [6]


def test_two_environments_hold_two_versions_of_one_package(place: Place) -> None:
    body = """
def version():
    import six
    return six.__version__
old = rh.function(version).to('here', env=rh.env(name='old', reqs=['six==1.15.0']))
new = rh.function(version).to('here', env=rh.env(name='new', reqs=['six==1.16.0'], env_vars={'A': 'b'}))
show([old(), new(), old()])
def variable():
    import os
    return os.environ.get('A')
show([rh.function(variable).to('here', env='new')(), rh.function(variable).to('here')()])
"""
    assert run(place, body) == [["1.15.0", "1.16.0", "1.15.0"], ["b", None]]


def test_what_c_code_and_children_print_is_in_the_log(place: Place) -> None:
    place.script("work.py", WORK)
    file = place.script(
        "low.py",
        "import rhdesk as rh\nfrom work import low_level\nrh.function(low_level).to('here')()\n",
    )
    assert place.python(str(file)).stdout.splitlines() == ["from C", "from a child"]


def test_shell_commands_give_code_and_output(place: Place) -> None:
    body = "show(rh.here.run(['echo out; echo err >&2; exit 3', 'true'], stream_logs=False))"
    assert run(place, body) == [[[3, "out\n", "err\n"], [0, "", ""]]]


def test_a_saved_function_is_called_from_another_program(place: Place) -> None:
    run(place, "rh.function(add).to('here').save('~/add')")
    body = "f = rh.load('~/add'); show([f(41), rh.exists('~/add'), 'add' in rh.resources()])"
    assert run(place, body) == [[42, True, True]]


def test_arrays_and_tables_come_back_equal(place: Place) -> None:
    body = """
import numpy as np, pyarrow as pa
same = rh.function(lambda x: x).to('here')
a = np.arange(1_000_000, dtype='float64').reshape(1000, 1000)
b = same(a)
show([bool((a == b).all()), b.flags.writeable, b.dtype.str, list(b.shape)])
t = pa.table({'x': [1, 2], 'y': ['a', None]})
show(same(t).equals(t))
show([same(b'x' * 10_000_000) == b'x' * 10_000_000, same((1, {2})) == (1, {2}), same(2**70) == 2**70])
"""
    assert run(place, body) == [[True, True, "<f8", [1000, 1000]], True, [True, True, True]]
