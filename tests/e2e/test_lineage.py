"""A pipeline of three functions whose saved outputs feed the next: why it is there, what breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

STEPS = """
import rhdesk as rh


def fetch(rows):
    rh.env(name="~/line/raw", env_vars={"rows": str(rows)}).save()


def clean():
    raw = rh.load("~/line/raw")
    rh.env(name="~/line/clean", env_vars={"kept": raw.env_vars["rows"]}).save()


def report(title):
    cleaned = rh.load("~/line/clean")
    made = rh.env(name="~/line/report", env_vars={title: cleaned.env_vars["kept"]})
    made.save()
    return made


def double(value):
    return 2 * value


def keep(key):
    rh.here.put(key, rh.here.get("line-first") + 1)
"""

PRELUDE = """
import json
import rhdesk as rh
from line_steps import *

def show(value):
    print("@@" + json.dumps(value))
"""


def told(place: Place, *args: str) -> Any:
    return json.loads(place.rhdesk(*args, "--json").stdout)["data"]


def run(place: Place, text: str) -> list[Any]:
    script = place.script("line_script.py", PRELUDE + text)
    lines = place.python(str(script)).stdout.splitlines()
    return [json.loads(line[2:]) for line in lines if line.startswith("@@")]


@pytest.fixture(scope="module")
def line(place: Place) -> Place:
    """The three functions saved, and each called once, by the command."""
    place.script("line_steps.py", STEPS)
    for function in ("fetch", "clean", "report"):
        place.rhdesk("save", f"line_steps.py:{function}", f"~/line/{function}_it")
    place.rhdesk("call", "~/line/fetch_it", "rows=7")
    place.rhdesk("call", "~/line/clean_it")
    place.rhdesk("call", "~/line/report_it", "title=total")
    return place


def test_why_tells_the_chain(line: Place) -> None:
    steps = told(line, "why", "~/line/report")["steps"]
    wrote = [(step["name"], step["function"]) for step in steps if step["run_id"]]
    assert wrote == [
        ("~/line/report", "~/line/report_it"),
        ("~/line/clean", "~/line/clean_it"),
        ("~/line/raw", "~/line/fetch_it"),
    ]
    by_hand = {step["name"] for step in steps if not step["run_id"]}
    assert by_hand == {"~/line/report_it", "~/line/clean_it", "~/line/fetch_it"}
    for step in steps:
        assert step["version"] == told(line, "show", step["name"])["record"]["version"]
    sentences = line.rhdesk("why", "~/line/report").stdout.splitlines()
    assert sentences[0].startswith("~/line/report@")
    assert " of ~/line/report_it@" in sentences[0]
    assert " from ~/line/clean@" in sentences[0]


def test_down_tells_what_breaks(line: Place) -> None:
    found = told(line, "lineage", "~/line/raw", "--down")
    wrote = [edge["name"] for edge in found["edges"] if edge["kind"] == "wrote"]
    assert wrote == ["~/line/clean", "~/line/report"]
    tree = line.rhdesk("lineage", "~/line/raw", "--down").stdout
    assert tree.index("~/line/clean@") < tree.index("~/line/report@")
    functions = told(line, "lineage", "~/line/clean_it", "--down")
    assert "~/line/report" in [edge["name"] for edge in functions["edges"]]


def test_the_cluster_is_read_by_whatever_ran_on_it(line: Place) -> None:
    edges = told(line, "lineage", "here", "--down", "--depth", "1")["edges"]
    assert "~/line/fetch_it" in {edge["function"] for edge in edges}
    assert {edge["version"] for edge in edges if edge["name"] == "~/here"} == {""}


def test_events_of_a_real_run_are_openlineage(line: Place) -> None:
    run_id = told(line, "why", "~/line/report")["steps"][0]["run_id"]
    text = line.rhdesk("lineage", "--export", "-", "--run", run_id).stdout
    began, done = [json.loads(each) for each in text.splitlines()]
    assert (began["eventType"], done["eventType"]) == ("START", "COMPLETE")
    assert [each["name"] for each in done["outputs"]] == ["~/line/report"]
    inputs = {each["name"] for each in done["inputs"]}
    assert inputs == {"~/line/report_it", "~/line/clean", "~/here"}


def test_a_script_that_saves_what_a_run_returned_saves_it_for_that_run(line: Place) -> None:
    (run_id, by) = run(
        line,
        """
f = rh.function(name="~/line/report_it")
made = f("sum")
made.save("~/line/renamed")
show(made.provenance["run_id"])
show(rh.Resource.history(made)[0].run_id)
""",
    )
    assert run_id == by
    steps = told(line, "why", "~/line/renamed")["steps"]
    assert (steps[0]["run_id"], steps[0]["function"]) == (run_id, "~/line/report_it")
    assert "~/line/clean" in [step["name"] for step in steps]


def test_kept_values_are_on_the_way_too(line: Place) -> None:
    """`remote` keeps one, the next call is given it; a third touches keys by itself."""
    (first, second) = run(
        line,
        """
f = rh.function(double).to("here")
f.save("~/line/double")
g = rh.function(keep).to("here")
g.save("~/line/keep")
one = f.remote(4)
two = f.remote(one)
show(one.key)
show(two.key)
assert two.fetch() == 16
f(1, run_name="line-first")
g("line-second")
""",
    )
    found = told(line, "lineage", f"here:{second}")["edges"]
    assert [edge["name"] for edge in found if edge["kind"] == "wrote"] == [
        f"here:{second}",
        f"here:{first}",
    ]
    kept = told(line, "why", "here:line-second")["steps"]
    assert [(s["name"], s["function"]) for s in kept if s["run_id"]] == [
        ("here:line-second", "~/line/keep"),
        ("here:line-first", "~/line/double"),
    ]


def test_handles_and_names_given_as_arguments_are_read(line: Place) -> None:
    line.script("line_args.py", "def take(thing):\n    return str(thing)[:10]\n")
    line.rhdesk("save", "line_args.py:take", "~/line/take")
    line.rhdesk("call", "~/line/take", "thing=~/line/raw")
    run(
        line,
        """
from line_args import take
h = rh.function(take).to("here")
h.save("~/line/take_handle")
h(rh.load("~/line/clean"))
""",
    )
    raw = told(line, "lineage", "~/line/raw", "--down")["edges"]
    assert "~/line/take" in {edge["function"] for edge in raw}
    cleaned = told(line, "lineage", "~/line/clean", "--down")["edges"]
    assert "~/line/take_handle" in {edge["function"] for edge in cleaned}


def test_a_saved_environment_is_read_and_a_new_version_is_told_apart(line: Place) -> None:
    (before, after) = run(
        line,
        """
from line_args import take
env = rh.env(name="~/line/vars", env_vars={"A": "1"})
env.save()
h = rh.function(take).to("here", env=env)
h.save("~/line/with_env")
h(1)
show(env.history()[0].version)
env.env_vars["A"] = "2"
env.save()
show(env.history()[0].version)
""",
    )
    edges = told(line, "lineage", "~/line/vars", "--down")["edges"]
    read = {edge["version"] for edge in edges if edge["function"] == "~/line/with_env"}
    assert read == {before}
    assert before != after
