"""The main job through the command: call, follow, cancel, look at the record."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

APP = '''
import os
import subprocess
import sys
import time


def train(alpha: float, epochs: int = 2):
    """Fit.

    Args:
        alpha: Step size.
    """
    for epoch in range(epochs):
        print("epoch", epoch)
    print("a warning", file=sys.stderr)
    return {"alpha": alpha, "epochs": epochs}


def count(n: int):
    for i in range(n):
        print("making", i)
        yield i


def fail(code: int):
    print("about to fail")
    raise ValueError(f"no good: {code}")


def hostile():
    print("\\x1b]52;c;ZXZpbA==\\x07 shown \\x1b[31mred")
    return "\\x1b[2Jgone"


def sleep(pid_file: str):
    child = subprocess.Popen(["sleep", "600"])
    with open(pid_file + ".part", "w") as file:
        file.write(str(child.pid))
    os.rename(pid_file + ".part", pid_file)
    print("asleep", flush=True)
    time.sleep(600)


def slow(seconds: float):
    print("one", flush=True)
    time.sleep(seconds)
    print("two", flush=True)
    return "done"


def greeting():
    import tiny_lib
    return tiny_lib.HELLO + os.environ.get("WHOM", "")


class Counter:
    def __init__(self, start: int = 0):
        self.n = start

    def inc(self, by: int = 1):
        self.n += by
        return self.n
'''


@pytest.fixture(autouse=True)
def _program(place: Place) -> None:
    place.script("app.py", APP)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def data(place: Place, *args: str) -> Any:
    """What a command answers as JSON."""
    document = events(place.rhdesk(*args, "--json").stdout)[-1]
    assert document["ok"] is True
    return document["data"]


def test_a_call_prints_what_the_function_prints_and_then_its_result(place: Place) -> None:
    done = place.rhdesk("call", "app.py:train", "alpha=0.3", "epochs=3")
    assert done.stdout == 'epoch 0\nepoch 1\nepoch 2\n{"alpha":0.3,"epochs":3}\n'
    assert done.stderr == "a warning\n"


def test_a_call_as_json_is_lines_and_an_end(place: Place) -> None:
    *lines, end = events(place.rhdesk("call", "app.py:train", "0.5", "--json").stdout)
    assert {line["kind"] for line in lines} == {"line"}
    assert [line["data"]["seq"] for line in lines] == [0, 1, 2]
    assert {line["data"]["stream"] for line in lines} == {"stdout", "stderr"}
    assert end["kind"] == "end"
    assert end["data"]["result"] == {"alpha": 0.5, "epochs": 2}
    assert end["data"]["run"]["status"] == "succeeded"
    assert end["data"]["run"]["lines"] == 3


def test_a_generator_is_called_to_its_end(place: Place) -> None:
    *lines, end = events(place.rhdesk("call", "app.py:count", "n=300", "--json").stdout)
    assert [line["data"]["text"] for line in lines] == [f"making {i}" for i in range(300)]
    assert end["data"]["run"]["status"] == "succeeded"


def test_a_failed_call_shows_the_far_sides_traceback_and_ends_with_10(place: Place) -> None:
    done = place.rhdesk("call", "app.py:fail", "7", check=False)
    assert done.returncode == 10
    assert done.stdout == "about to fail\n"
    assert "Traceback" in done.stderr
    assert 'raise ValueError(f"no good: {code}")' in done.stderr
    assert done.stderr.splitlines()[-1] == "rhdesk: ValueError: no good: 7"

    failed = place.rhdesk("call", "app.py:fail", "7", "--json", check=False)
    error = events(failed.stdout)[-1]["error"]
    assert (error["code"], error["exit_code"], failed.returncode) == ("run_failed", 10, 10)
    assert "ValueError" in error["remote_traceback"]
    again = place.rhdesk("result", error["run_id"], check=False)
    assert again.returncode == 10
    assert place.rhdesk("logs", error["run_id"]).stdout == "about to fail\n"


def test_nothing_a_terminal_would_obey_reaches_it(place: Place) -> None:
    done = place.rhdesk("call", "app.py:hostile")
    assert "shown red" in done.stdout
    assert "gone" in done.stdout
    assert not set(done.stdout + done.stderr) & {"\x1b", "\x07"}


def test_logs_and_search_read_the_record(place: Place) -> None:
    run_id = data(place, "call", "app.py:train", "alpha=1", "epochs=4")["run"]["run_id"]
    assert place.rhdesk("logs", run_id, "--grep", "epoch", "--after", "1").stdout == (
        "epoch 2\nepoch 3\n"
    )
    only = place.rhdesk("logs", run_id[-10:], "--stderr-only", "--no-follow")
    assert (only.stdout, only.stderr) == ("", "a warning\n")
    hits = data(place, "search", "epoch 3", "--run", run_id)
    assert [hit["line"]["text"] for hit in hits] == ["epoch 3"]
    assert data(place, "result", run_id) == {"alpha": 1.0, "epochs": 4}
    newest = data(place, "runs", "--function", "train", "--limit", "1")
    assert [run["run_id"] for run in newest] == [run_id]
    table = place.rhdesk("runs", "--function", "train", "--limit", "1").stdout.splitlines()
    assert run_id[-10:] in table[1]
    assert "✓ succeeded" in table[1]


def test_a_run_is_pinned_unpinned_and_removed(place: Place) -> None:
    run_id = data(place, "call", "app.py:count", "1")["run"]["run_id"]
    assert data(place, "pin", run_id)["pinned"] is True
    assert data(place, "unpin", run_id)["pinned"] is False
    assert data(place, "retain") == {"removed": 0}
    assert data(place, "rm", run_id) == {"removed": 1}
    assert place.rhdesk("logs", run_id, check=False).returncode == 3


def test_a_cancelled_run_and_its_child_are_gone(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    run_id = place.rhdesk("call", "app.py:sleep", str(file), "--no-follow").stdout.strip()
    wait_for(file.exists)
    child = int(file.read_text())
    assert data(place, "cancel", run_id)["status"] == "cancelled"
    assert not is_running(child)
    assert place.rhdesk("logs", run_id).stdout == "asleep\n"
    assert place.rhdesk("result", run_id, check=False).returncode == 11


def test_a_call_that_takes_too_long_ends_with_12(place: Place) -> None:
    done = place.rhdesk("call", "app.py:slow", "60", "--timeout", "1", check=False)
    assert done.returncode == 12
    assert done.stdout == "one\n"


def test_ctrl_c_stops_following_and_the_run_goes_on(place: Place) -> None:
    following = place.start("-m", "rhdesk.cli", "call", "app.py:slow", "3")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert "the run goes on" in err
    assert "Traceback" not in err
    short = err.partition("rhdesk logs ")[2].partition(",")[0]
    assert place.rhdesk("logs", short).stdout == "one\ntwo\n"
    assert place.rhdesk("result", short).stdout == "done\n"


def test_a_shell_command_runs_and_its_exit_code_comes_back(place: Place) -> None:
    done = place.rhdesk("run", "--", "echo", "hello  there")
    assert (done.returncode, done.stdout) == (0, "hello  there\n")
    line = place.rhdesk("run", "echo a | tr a b; echo no >&2; exit 3", check=False)
    assert (line.returncode, line.stdout, line.stderr) == (3, "b\n", "no\n")
    assert place.rhdesk("run", "--", "kill -9 $$", check=False).returncode == 128 + 9
    end = events(place.rhdesk("run", "--json", "--", "echo", "hi").stdout)[-1]
    assert end["data"]["result"] == {"exit_code": 0, "stdout": "hi\n", "stderr": ""}


def test_a_line_only_a_shell_can_read_runs(place: Place) -> None:
    assert place.rhdesk("run", "echo it # don't").stdout == "it\n"


def test_objects_are_kept_under_keys(place: Place) -> None:
    place.rhdesk("clear", "--yes")
    place.rhdesk("put", "a", "[1, 2.5]")
    (place.project / "b.json").write_text('{"x": null}')
    place.rhdesk("put", "b", "@b.json")
    place.rhdesk("put", "c", "plain text")
    assert place.rhdesk("keys").stdout == "a\nb\nc\n"
    assert data(place, "get", "a") == [1, 2.5]
    assert data(place, "get", "b") == {"x": None}
    assert place.rhdesk("get", "c").stdout == "plain text\n"
    place.rhdesk("rename-key", "c", "d")
    assert data(place, "rmkey", "a", "d", "none") == {"deleted": ["a", "d"]}
    missing = place.rhdesk("get", "a", check=False)
    assert missing.returncode == 3
    place.rhdesk("clear", "--yes")
    assert place.rhdesk("keys").stdout == ""


def test_a_call_runs_in_an_environment_made_for_it(place: Place) -> None:
    lib = place.project / "tiny_lib"
    lib.mkdir(exist_ok=True)
    (lib / "pyproject.toml").write_text(
        '[project]\nname = "tiny-lib"\nversion = "1"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    (lib / "tiny_lib").mkdir(exist_ok=True)
    (lib / "tiny_lib" / "__init__.py").write_text('HELLO = "hello "\n')
    made = place.rhdesk("env", "make", "tiny", "local:./tiny_lib", "--var", "WHOM=world")
    assert "✓" in made.stderr
    assert made.stdout == ""
    assert place.rhdesk("call", "app.py:greeting", "--env", "tiny").stdout == "hello world\n"
    assert "tiny" in {env["name"] for env in data(place, "env", "ls")}
    assert place.rhdesk("env", "ls").stdout.splitlines()[1].startswith("base ")
    place.rhdesk("env", "drop", "tiny")
    assert "tiny" not in {env["name"] for env in data(place, "env", "ls")}
    gone = place.rhdesk("call", "app.py:greeting", "--env", "tiny", check=False)
    assert gone.returncode == 3


def test_requirements_named_in_a_call_are_made_ready_first(place: Place) -> None:
    (place.project / "reqs.txt").write_text("# nothing beside the standard library\n")
    done = place.rhdesk("call", "app.py:train", "1", "0", "--env", "reqs.txt")
    assert done.stdout == '{"alpha":1.0,"epochs":0}\n'
    assert "✓" in done.stderr
    assert data(place, "runs", "--limit", "1")[0]["env"] == "reqs"


def test_a_requirement_that_does_not_exist_is_said_and_nothing_is_lost(place: Place) -> None:
    bad = place.rhdesk("env", "make", "bad", "local:./nowhere", "--json", check=False)
    assert bad.returncode == 2
    assert events(bad.stdout)[-1]["error"]["code"] == "bad_requirement"
    assert "bad" not in {env["name"] for env in data(place, "env", "ls")}


def test_a_method_of_a_module_nobody_made_is_answered_with_how_to(place: Place) -> None:
    place.rhdesk("save", "app.py:Counter", "~/unmade")
    early = place.rhdesk("call", "~/unmade.inc", check=False)
    assert early.returncode == 3
    assert "rhdesk call ~/unmade" in early.stderr


def test_a_saved_module_keeps_its_state_between_calls(place: Place) -> None:
    place.rhdesk("save", "app.py:Counter", "~/counter")
    place.rhdesk("call", "~/counter", "start=10")
    assert place.rhdesk("call", "~/counter.inc", "by=5").stdout == "15\n"
    assert place.rhdesk("call", "~/counter.inc").stdout == "16\n"
    assert place.rhdesk("call", "~/counter", "--method", "inc").stdout == "17\n"
    line = place.rhdesk("show", "~/counter.inc", "--curl").stdout
    done = subprocess.run(["bash", "-c", line], env=place.environ, capture_output=True, check=True)
    assert done.stdout.strip() == b"18"


def test_a_call_can_save_its_function_first(place: Place) -> None:
    done = place.rhdesk("call", "app.py:count", "2", "--save", "~/numbers", "--json")
    assert events(done.stdout)[-1]["data"]["run"]["function"] == "~/numbers"
    assert data(place, "show", "~/numbers")["record"]["resource_type"] == "function"


def test_the_line_that_show_prints_calls_the_function(place: Place) -> None:
    place.rhdesk("save", "app.py:train", "~/train")
    line = place.rhdesk("show", "~/train", "--curl").stdout.strip()
    assert line.startswith("curl ")
    done = subprocess.run(
        ["bash", "-c", line], env=place.environ, capture_output=True, text=True, check=True
    )
    assert '"alpha":0.5' in done.stdout.replace(" ", "")


def test_the_cluster_is_seen_from_every_side(place: Place) -> None:
    (here,) = data(place, "status")
    assert (here["name"], here["state"]) == ("here", "up")
    assert data(place, "status", "here")[0]["cluster_id"] == here["cluster_id"]
    assert data(place, "up", "here")["cluster_id"] == here["cluster_id"]
    (node,) = data(place, "stats")
    assert node["memory_total_bytes"] > 0
    checks = data(place, "doctor")
    assert all(check["ok"] or check["remedy"] for check in checks)
    assert place.rhdesk("doctor", check=False).stdout.count("✓") == sum(c["ok"] for c in checks)


def wait_for(claim: Any, within_s: float = 20.0) -> None:
    give_up = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_generator_gives_its_items_and_nothing_prints_nothing(place: Place) -> None:
    place.script(
        "gives.py",
        "def some(n: int):\n    yield from range(n)\n"
        "async def more(n: int):\n    for i in range(n):\n        yield i\n"
        "def none():\n    return None\n",
    )
    assert place.rhdesk("call", "gives.py:some", "3").stdout == "[0,1,2]\n"
    assert place.rhdesk("call", "gives.py:more", "2").stdout == "[0,1]\n"
    assert place.rhdesk("call", "gives.py:none").stdout == ""


def test_a_saved_function_is_called_in_its_environment_made_again_if_need_be(place: Place) -> None:
    place.script("needs_six.py", "def version():\n    import six\n    return six.__version__\n")
    script = place.script(
        "saves.py",
        "import rhdesk as rh\nfrom needs_six import version\n"
        "env = rh.env(name='sixth', reqs=['six==1.16.0'])\n"
        "rh.function(version).to('here', env=env).save('~/sixth')\n",
    )
    place.python(str(script))
    assert place.rhdesk("call", "~/sixth").stdout == "1.16.0\n"
    place.rhdesk("env", "drop", "sixth")
    assert place.rhdesk("call", "~/sixth").stdout == "1.16.0\n"
    place.rhdesk("env", "drop", "sixth")
    load = "import rhdesk as rh; print(rh.load('~/sixth')())"
    assert place.python("-c", load).stdout == "1.16.0\n"
