"""The command as a whole process, where it needs no cluster."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from rhdesk.cli.main import cli
from rhdesk.cli.verbs import VERBS
from rhdesk.errors import error_classes

Done = subprocess.CompletedProcess[str]


def commands(group: click.Group, *words: str) -> Iterator[list[str]]:
    """Every command there is, in groups and groups of groups."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield [*words, name]


SERVES = {"server run", "daemon run"}
"""They answer nobody here, and go on until they are stopped."""
COMMANDS = [words for words in commands(cli) if " ".join(words) not in SERVES]
ARGUMENTS = {
    "share": ["@", "bob"],
    "data check": ["~/nope"],
    "map": ["app.py:train", "1"],
    "access why": ["bob", "write", "/ml/train"],
    "access grant": ["/ml", "bob"],
    "access move": ["/ml/old", "/ml/new"],
    "group new": ["ml"],
    "group put": ["ml", "bob"],
    "group take": ["ml", "bob"],
    "group move": ["vision", "ml"],
    "group rm": ["ml"],
    "group set": ["/ml", "provider", "aws"],
    "group unset": ["/ml", "provider"],
    "lane set": ["/ml/prod", "/ml/dev"],
    "lane lift": ["/ml/prod"],
    "lane promote": ["/ml/dev/train"],
    "lane approve": ["0" * 16],
    "lane withdraw": ["0" * 16],
    "token revoke": ["0" * 16],
    "audit download": ["audit.jsonl"],
    "server user add": ["ada"],
    "server token create": ["ada"],
    "server token revoke": ["0" * 16],
    "server grant": ["ada", "/ada", "read"],
    "server backup": ["backup.gz"],
    "server restore": ["app.py"],
    "call": ["app.py:train"],
    "run": ["true"],
    "result": ["last"],
    "cancel": ["last"],
    "search": ["text"],
    "data cat": ["nowhere"],
    "data cp": ["nowhere", "target"],
    "data info": ["nowhere"],
    "data mkdir": ["made"],
    "data mv": ["nowhere", "target"],
    "data rm": ["nowhere"],
    "pin": ["last"],
    "unpin": ["last"],
    "rm": ["last"],
    "show": ["~/x"],
    "save": ["app.py:train", "~/x"],
    "history": ["~/x"],
    "diff": ["~/x"],
    "rollback": ["~/x@1a2b"],
    "lineage": ["~/x"],
    "why": ["~/x"],
    "rename": ["~/x", "~/y"],
    "delete": ["~/x"],
    "put": ["k", "1"],
    "get": ["k"],
    "rename-key": ["a", "b"],
    "rmkey": ["k"],
    "clear": ["--yes"],
    "completion": ["bash"],
    "config get": ["theme"],
    "config set": ["theme", "rhdesk-light"],
    "config unset": ["theme"],
    "hosts": [],
    "add": ["127.0.0.1", "--name", "added"],
    "ssh": ["here"],
    "forward": ["here", "8888"],
    "cp": ["a", "b"],
    "notebook": ["here"],
    "watch": ["no-such-folder"],
    "sync why": ["app.py"],
    "sync push": ["--on", "here"],
    "sync pull": ["--on", "here"],
    "forget": ["gpubox"],
    "stop": ["gpubox"],
    "resize": ["gpubox", "2"],
    "secret put": ["x", "api_key"],
    "secret get": ["x"],
    "secret history": ["x"],
    "secret rm": ["x", "--yes"],
    "secret rename": ["x", "y"],
    "secret load": ["openai"],
    "secret save": ["x"],
    "secret send": ["x", "--on", "gpubox"],
    "secret keeper store": ["/ml"],
    "secret keeper vault": ["http://127.0.0.1:1"],
    "autostop": ["here", "30"],
    "env make": ["e"],
    "env drop": ["e"],
    "data schema": ["no-such.parquet"],
    "data head": ["no-such.parquet"],
    "data sql": ["no-such.parquet", "select 1"],
    "data write": ["no-such.parquet", "copy"],
    "data profile": ["no-such.parquet", "n"],
    "data count": ["no-such.parquet"],
    "data export": ["no-such.parquet", "out.csv"],
}
"""What a command needs beside its name."""

PLAIN = {"daemon start", "up", "doctor", "config edit"}
"""Commands that would do something to this machine, look at all of it, or open an editor."""

APP = '''
def train(alpha: float, epochs: int = 3):
    """Fit \x1b[31mred\x1b[0m.

    Args:
        alpha: Step size.
    """
    return alpha


class Counter:
    def __init__(self, start: int = 0):
        self.n = start

    def inc(self, by: int = 1):
        self.n += by
        return self.n
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a program in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / "app.py").write_text(APP)
    return folder


@pytest.fixture
def rhdesk(project: Path) -> Callable[..., Done]:
    """Run the command in the project."""

    def run(*args: str, environ: dict[str, str] | None = None) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", *args],
            cwd=project,
            env=os.environ | (environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def answered(done: Done) -> Any:
    """The data of a JSON answer."""
    document = json.loads(done.stdout)
    assert document["ok"] is True, document
    return document["data"]


def fault(done: Done) -> dict[str, Any]:
    """The error of a JSON answer, which says what the process ended with."""
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["ok"] is False, document
    assert document["error"]["exit_code"] == done.returncode
    error: dict[str, Any] = document["error"]
    return error


# ---------------------------------------------------------------- every command


def test_the_table_of_verbs_and_the_commands_agree() -> None:
    ctx = click.Context(cli)
    for name in cli.list_commands(ctx):
        command = cli.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_every_command_speaks_json() -> None:
    ctx = click.Context(cli)
    for path in COMMANDS:
        command: click.Command | None = cli
        for word in path:
            assert isinstance(command, click.Group)
            command = command.get_command(ctx, word)
        assert command is not None
        assert "--json" in {option for each in command.params for option in each.opts}, path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_refuses_what_it_does_not_know(
    command: list[str], rhdesk: Callable[..., Done]
) -> None:
    assert rhdesk(*command, "--help").stdout.startswith(f"Usage: rhdesk {' '.join(command)}")

    refused = rhdesk(*command, "--bogus", "--json")
    assert refused.returncode == 2
    assert fault(refused)["code"] == "usage"
    assert "--bogus" in fault(refused)["message"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_answers_in_one_shape_with_no_cluster_and_nothing_stored(
    command: list[str], rhdesk: Callable[..., Done]
) -> None:
    name = " ".join(command)
    if name in PLAIN:
        pytest.skip("it would do something to this machine")
    done = rhdesk(*command, *ARGUMENTS.get(name, []), "--json")
    last = json.loads(done.stdout.splitlines()[-1])
    if last["ok"]:
        assert done.returncode == 0
        assert "data" in last
    else:
        known = {cls.exit_code for cls in error_classes().values()}
        assert done.returncode in known
        assert set(last["error"]) >= {"code", "message", "exit_code"}
        assert last["error"]["code"] in error_classes()
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- usage


def test_help_names_every_command(rhdesk: Callable[..., Done]) -> None:
    text = rhdesk("--help").stdout
    assert all(f"\n  {name} " in text for name in VERBS)


def test_an_unknown_command_is_answered_with_the_nearest(rhdesk: Callable[..., Done]) -> None:
    done = rhdesk("statsu")
    assert done.returncode == 2
    assert "status" in done.stderr
    assert done.stdout == ""


def test_a_usage_error_is_json_where_json_was_asked_for(rhdesk: Callable[..., Done]) -> None:
    assert fault(rhdesk("nothing", "--json"))["code"] == "usage"


def test_what_follows_a_bare_dash_is_not_for_rhdesk(rhdesk: Callable[..., Done]) -> None:
    done = rhdesk("run", "--", "tool", "--json")
    assert done.returncode == 5
    assert done.stdout == ""
    assert "rhdesk up here" in done.stderr


def test_a_negative_number_is_told_where_to_go(rhdesk: Callable[..., Done]) -> None:
    assert "behind a bare `--`" in rhdesk("call", "app.py:train", "-1").stderr
    assert "up here" in rhdesk("call", "app.py:train", "--", "-1").stderr


def test_exit_codes_are_those_of_the_error_classes(rhdesk: Callable[..., Done]) -> None:
    listed = {row["code"]: row["exit_code"] for row in answered(rhdesk("exit-codes", "--json"))}
    for code, cls in error_classes().items():
        assert listed[code] == cls.exit_code


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str, rhdesk: Callable[..., Done]) -> None:
    assert "rhdesk" in rhdesk("completion", shell).stdout
    asked = {"_RHDESK_COMPLETE": f"{shell}_source"}
    assert "_RHDESK_COMPLETE" in rhdesk(environ=asked).stdout
    typed = {"_RHDESK_COMPLETE": "bash_complete", "COMP_WORDS": "rhdesk env m", "COMP_CWORD": "2"}
    assert rhdesk(environ=typed).stdout == "plain,make\n"


# ---------------------------------------------------------------- names and signatures


def test_a_saved_function_is_listed_shown_renamed_and_deleted(rhdesk: Callable[..., Done]) -> None:
    saved = answered(rhdesk("save", "app.py:train", "~/train", "--json"))
    assert saved["name"] == "~/train"

    assert [r["name"] for r in answered(rhdesk("ls", "--json"))] == ["~/train"]
    assert answered(rhdesk("ls", "--type", "module", "--json")) == []
    table = rhdesk("ls").stdout.splitlines()
    assert table[0].split() == ["NAME", "TYPE", "VERSION", "SAVED"]
    assert table[1].split()[:2] == ["~/train", "function"]

    shown = answered(rhdesk("show", "~/train", "--json"))
    assert [p["name"] for p in shown["signature"]["parameters"]] == ["alpha", "epochs"]

    assert answered(rhdesk("rename", "~/train", "~/fit", "--json"))["name"] == "~/fit"
    assert answered(rhdesk("history", "~/fit", "--json"))
    assert rhdesk("delete", "~/fit").returncode == 0
    assert rhdesk("show", "~/fit").returncode == 3


def test_a_name_the_shell_read_as_a_file_at_home_is_a_name(rhdesk: Callable[..., Done]) -> None:
    home = os.environ["HOME"]
    assert answered(rhdesk("save", "app.py:train", f"{home}/a", "--json"))["name"] == "~/a"
    assert answered(rhdesk("rename", f"{home}/a", f"{home}/b", "--json"))["name"] == "~/b"
    for folder in (home, f"{home}/", "~"):
        assert [r["name"] for r in answered(rhdesk("ls", folder, "--json"))] == ["~/b"]
    assert rhdesk("show", f"{home}/b").returncode == 0
    assert rhdesk("show", f"{home}2/b").returncode == 2


def test_an_unknown_name_is_answered_with_the_nearest(rhdesk: Callable[..., Done]) -> None:
    rhdesk("save", "app.py:train", "~/train")
    error = fault(rhdesk("show", "~/trian", "--json"))
    assert error["code"] == "not_found"
    assert error["near"] == ["~/train"]
    assert "did you mean ~/train?" in rhdesk("show", "~/trian").stderr


def test_a_taken_name_is_left_alone_when_asked_to(rhdesk: Callable[..., Done]) -> None:
    rhdesk("save", "app.py:train", "~/train")
    done = rhdesk("save", "app.py:Counter", "~/train", "--no-overwrite")
    assert done.returncode == 4


def test_a_method_is_shown_by_its_dot(rhdesk: Callable[..., Done]) -> None:
    shown = answered(rhdesk("show", "app.py:Counter.inc", "--json"))
    assert [p["name"] for p in shown["signature"]["parameters"]] == ["by"]
    rhdesk("save", "app.py:Counter", "~/counter")
    saved = answered(rhdesk("show", "~/counter.inc", "--json"))
    assert saved["signature"] == shown["signature"]


def test_a_docstring_reaches_the_terminal_without_what_it_would_obey(
    rhdesk: Callable[..., Done],
) -> None:
    done = rhdesk("show", "app.py:train")
    assert done.stdout.startswith("app.py:train(alpha: float, epochs: int = 3)")
    assert "Fit red." in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("missing.py:train", "missing.py"),
        ("app.py:trian", "did you mean train?"),
        ("broken.py:f", "line 1"),
        ("not a name", "is not a name"),
    ],
)
def test_bad_targets_are_refused_with_what_a_right_one_looks_like(
    target: str, says: str, rhdesk: Callable[..., Done], project: Path
) -> None:
    (project / "broken.py").write_text("def f(:\n")
    done = rhdesk("call", target)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    rhdesk: Callable[..., Done],
) -> None:
    for given in (["alpha=abc"], ["beta=1"], [], ["1", "2", "3"], ["1", "alpha=2"]):
        done = rhdesk("call", "app.py:train", *given)
        assert done.returncode == 2, done.stderr
        assert "alpha" in done.stderr
    assert rhdesk("call", "app.py:train", "0.5").returncode == 5
    assert all(run["status"] == "failed" for run in answered(rhdesk("runs", "--json")))


# ---------------------------------------------------------------- no cluster


def test_a_cluster_that_is_down_says_how_to_bring_it_up(rhdesk: Callable[..., Done]) -> None:
    for command in (["call", "app.py:train", "1"], ["keys"], ["env", "ls"], ["run", "--", "ls"]):
        done = rhdesk(*command)
        assert done.returncode == 5
        assert "rhdesk up here" in done.stderr
    assert "down" in rhdesk("status").stdout


def test_an_unknown_cluster_is_not_found(rhdesk: Callable[..., Done]) -> None:
    assert fault(rhdesk("status", "there", "--json"))["near"] == ["here"]


def test_a_file_that_is_no_json_is_refused(rhdesk: Callable[..., Done], project: Path) -> None:
    (project / "value.json").write_text("{")
    assert "is not JSON" in rhdesk("put", "k", "@value.json").stderr
    assert "cannot be read" in rhdesk("put", "k", "@absent.json").stderr


def test_a_status_no_run_can_have_is_refused(rhdesk: Callable[..., Done]) -> None:
    done = rhdesk("runs", "--status", "bogus")
    assert done.returncode == 2
    assert "cancelled" in done.stderr


def test_a_folder_that_cannot_be_written_is_said_and_ends_with_8(
    rhdesk: Callable[..., Done],
) -> None:
    shut = {"RHDESK_DATA_DIR": "/proc/none", "RHDESK_CACHE_DIR": "/proc/none"}
    for command in (["call", "app.py:train", "1"], ["runs"], ["up"], ["search", "x"]):
        done = rhdesk(*command, environ=shut)
        assert done.returncode == 8
        assert "/proc/none" in done.stderr
        assert fault(rhdesk(*command, "--json", environ=shut))["code"] == "store_unwritable"


# ---------------------------------------------------------------- what was typed, shown again


@pytest.mark.parametrize(
    "command",
    [
        ["call", "app\x1b]0;title\x07.py:f"],
        ["put", "k", "@\x1b[31mabsent.json"],
        ["config", "\x1b[31mextra"],
        ["\x9b31mbogus"],
    ],
)
def test_what_was_typed_comes_back_without_what_a_terminal_would_obey(
    command: list[str], project: Path
) -> None:
    """On a terminal: where nobody watches, click takes the escapes out by itself."""
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", *command],
        cwd=project,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stderr=slave,
        check=False,
    )
    os.close(slave)
    seen = os.read(master, 100_000).decode()
    os.close(master)
    assert done.returncode == 2
    assert seen
    assert not set(seen) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize(
    "command",
    [
        ["put", "k", "\udcff"],
        ["status", "\udcff"],
        ["call", "\udcff.py:f"],
        ["call", "app.py:train", "1", "--env", "\udcff,x"],
        ["search", "\udcff"],
    ],
    ids=ascii,
)
def test_what_is_no_text_is_refused_and_pointed_at(
    command: list[str], rhdesk: Callable[..., Done]
) -> None:
    said = rhdesk(*command).stderr
    assert said.startswith("rhdesk: '")
    assert said.endswith("is not text in UTF-8\n")
    assert fault(rhdesk(*command, "--json"))["code"] == "bad_input"


@pytest.mark.parametrize("seconds", ["0", "-5", "nan", "inf"])
def test_a_time_nobody_can_wait_is_refused(seconds: str, rhdesk: Callable[..., Done]) -> None:
    done = rhdesk("call", "app.py:train", "1", "--timeout", seconds)
    assert done.returncode == 2
    assert "--timeout" in done.stderr


def test_a_type_that_nothing_has_is_answered_with_those_there_are(
    rhdesk: Callable[..., Done],
) -> None:
    rhdesk("save", "app.py:train", "~/train")
    done = rhdesk("ls", "--type", "functoin")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nothing here is a functoin; there is function\n"


def test_nobody_is_asked_where_nobody_is(rhdesk: Callable[..., Done]) -> None:
    done = rhdesk("clear")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    asked_for_json = rhdesk("clear", "--json")
    assert asked_for_json.returncode == 2
    assert "--yes" in fault(asked_for_json)["message"]


# ---------------------------------------------------------------- how a command ends


def test_a_fault_ends_a_stream_of_json_lines_as_a_success_does(
    rhdesk: Callable[..., Done],
) -> None:
    (line,) = rhdesk("call", "app.py:train", "1", "--json").stdout.splitlines()
    assert json.loads(line)["kind"] == "end"


def test_an_output_that_cannot_be_written_is_said(project: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", "exit-codes"],
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 8
    assert len(done.stderr.splitlines()) == 1


def test_settings_come_from_the_file_and_the_environment(rhdesk: Callable[..., Done]) -> None:
    found = answered(rhdesk("config", "--json", environ={"RHDESK_KEEP_DAYS": "7"}))
    assert found["settings"]["keep_days"] == 7
    assert found["sources"]["keep_days"] == "environment"
    Path(found["file"]).parent.mkdir(parents=True)
    Path(found["file"]).write_text("keep_days = 8\n")
    found = answered(rhdesk("config", "--json"))
    assert found["settings"]["keep_days"] == 8
    assert found["sources"]["keep_days"] == "user"
    assert found["sources"]["theme"] == "default"
    Path(found["file"]).write_text("kep_days = 8\n")
    assert "kep_days" in fault(rhdesk("config", "--json"))["message"]


def test_a_setting_is_set_explained_and_edited(
    rhdesk: Callable[..., Done], tmp_path: Path
) -> None:
    assert "30" in rhdesk("config", "set", "autostop_mins", "30").stderr
    assert rhdesk("config", "get", "autostop_mins").stdout == "30\n"
    (found,) = answered(rhdesk("config", "explain", "autostop_mins", "--json"))
    assert [said["layer"] for said in found["said"]] == ["default", "user"]
    fault_said = fault(rhdesk("config", "set", "autostop_minz", "30", "--json"))
    assert "autostop_mins" in fault_said["message"]

    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "$LINE" >> "$1"\n')
    editor.chmod(0o755)
    typing = {"EDITOR": str(editor), "VISUAL": ""}
    done = rhdesk("config", "edit", environ=typing | {"LINE": "kep_days = 3"})
    assert done.returncode == 2
    assert "did you mean keep_days?" in done.stderr
    assert rhdesk("config", "edit", environ=typing | {"LINE": "keep_days = 3"}).returncode == 0
    assert rhdesk("config", "get", "keep_days").stdout == "3.0\n"
    assert rhdesk("config", "lint").returncode == 0
    done = rhdesk("config", "lint", "--json", environ={"RHDESK_KEEP_DAYS": "never"})
    assert done.returncode == 2
    assert "RHDESK_KEEP_DAYS" in answered(done)[0]["where"]


def test_a_fault_of_rhdesk_is_one_line_and_a_file(
    rhdesk: Callable[..., Done], tmp_path: Path
) -> None:
    """A function taken out of its module stands for any fault."""
    program = "import rhdesk.cli.config as c, rhdesk.cli.main as m; del c.config_file; m.main()"

    def crash(*args: str, **environ: str) -> Done:
        return subprocess.run(
            [sys.executable, "-c", program, "config", *args],
            env=os.environ | {"RHDESK_DATA_DIR": str(tmp_path / "data")} | environ,
            capture_output=True,
            text=True,
            check=False,
        )

    done = crash()
    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1
    (file,) = (tmp_path / "data" / "crashes").iterdir()
    assert str(file) in done.stderr
    assert "NameError" in file.read_text()

    assert fault(crash("--json"))["code"] == "crash"
    assert "Traceback" in crash(RHDESK_DEBUG="1").stderr
    shut = crash(RHDESK_DATA_DIR="/proc/none")
    assert shut.returncode == 70
    assert "details: " in shut.stderr


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(project: Path) -> None:
    line = f"'{sys.executable}' -m rhdesk.cli exit-codes | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_terminal_without_a_character_gets_its_number(rhdesk: Callable[..., Done]) -> None:
    rhdesk("call", "app.py:train", "1")
    done = rhdesk("runs", environ={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "\\u2717 failed" in done.stdout


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_a_terminal_that_wants_it(
    environ: dict[str, str], coloured: bool, project: Path
) -> None:
    master, slave = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", "exit-codes"],
        cwd=project,
        env=os.environ | {"TERM": "xterm"} | environ,
        stdout=slave,
        check=True,
    )
    os.close(slave)
    seen = os.read(master, 100_000)
    os.close(master)
    assert (b"\x1b[" in seen) is coloured


def test_the_terminal_desk_says_what_it_lacks(project: Path) -> None:
    program = "import sys; sys.modules['textual'] = None; import rhdesk.cli.main as m; m.main([])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 9
    assert 'pip install "rhdesk[tui]"' in done.stderr


def test_ctrl_c_ends_with_130(project: Path) -> None:
    program = (
        "import os, signal\n"
        "import rhdesk.cli.config as config, rhdesk.cli.main as m\n"
        "config.config_file = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "m.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "config", "--json"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 130
    assert fault(done)["code"] == "interrupted"
