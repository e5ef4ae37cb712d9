"""Where a callable's code is, of live objects and of functions in files nobody imported."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import os.path
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from rhdesk.code.sources import Source, is_spec, locate, parse_file, parse_spec
from rhdesk.errors import BadFunction

WORK = """
import functools


def add(a, b=1):
    return a + b


def deco(fn):
    @functools.wraps(fn)
    def inner(*args):
        return fn(*args)
    return inner


def bare_deco(fn):
    def inner(*args):
        return fn(*args)
    return inner


@deco
def wrapped(a):
    return a


@bare_deco
def hidden(a):
    return a


@functools.lru_cache
def cached(a):
    return a


def replaced(a):
    return a


original = replaced
replaced = 3
by_lambda = lambda x: x


class Base:
    @classmethod
    def made(cls):
        return cls()

    @staticmethod
    def free(a):
        return a

    def inc(self):
        return 1

    class Inner:
        def run(self):
            return 1


class Child(Base):
    pass


dynamic = type("Dynamic", (), {})
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module in a package, imported."""
    root = tmp_path / "project"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(root))
    yield importlib.import_module("shop.work")
    for name in ("shop.work", "shop"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("path", "qualname"),
    [
        ("add", "add"), ("wrapped", "wrapped"), ("cached", "cached"), ("Base", "Base"),
        ("Base.inc", "Base.inc"), ("Base.free", "Base.free"), ("Base.made", "Base.made"),
        ("Child.made", "Child.made"), ("Base.Inner.run", "Base.Inner.run"),
    ],
)  # fmt: skip
def test_what_an_import_finds_is_in_the_project_s_files(
    work: ModuleType, tmp_path: Path, path: str, qualname: str
) -> None:
    target: Any = work
    for part in path.split("."):
        target = getattr(target, part)
    root = tmp_path / "project"
    assert locate(target) == Source(
        kind="source",
        module="shop.work",
        qualname=qualname,
        root=root,
        file=root / "shop" / "work.py",
    )


@pytest.mark.parametrize("name", ["by_lambda", "hidden", "original", "dynamic"])
def test_what_no_import_finds_travels_by_value_and_its_project_with_it(
    work: ModuleType, tmp_path: Path, name: str
) -> None:
    source = locate(getattr(work, name))
    assert source.kind == "value"
    assert source.root == tmp_path / "project"


def test_a_method_of_an_instance_travels_with_the_instance(work: ModuleType) -> None:
    assert locate(work.Base().inc).kind == "value"
    assert locate([].append).kind == "value"


def test_what_a_package_made_of_a_function_takes_no_package_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lib" / "site-packages"
    place.mkdir(parents=True)
    (place / "made_elsewhere.py").write_text("def deco(fn):\n    return lambda *a: fn(*a)\n")
    monkeypatch.syspath_prepend(str(place))
    source = locate(importlib.import_module("made_elsewhere").deco(len))
    assert source.kind == "value"
    assert source.root is None or "site-packages" not in str(source.root)


@pytest.mark.parametrize(
    ("target", "module", "qualname"),
    [
        (len, "builtins", "len"), (os.path.join, "posixpath", "join"), (json.dumps, "json", "dumps"),
        (str.upper, "builtins", "str.upper"), (Path, "pathlib", "Path"),
        (click.echo, "click.utils", "echo"),
    ],
)  # fmt: skip
def test_python_s_and_packages_functions_are_named_not_sent(
    target: Any, module: str, qualname: str
) -> None:
    assert locate(target) == Source(kind="installed", module=module, qualname=qualname)


def test_a_builtin_that_no_name_reaches_travels_by_value() -> None:
    assert locate(datetime.now).kind == "value"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (3, "3 is an int"), (functools.partial(len), "functools.partial of len"),
        ("train", "'train' is a str"), (Source(kind="value"), "is a Source"), (None, "NoneType"),
        (json, "is a module"),
    ],
)  # fmt: skip
def test_what_is_no_function_or_class_is_refused(target: Any, says: str) -> None:
    with pytest.raises(BadFunction, match=says) as told:
        locate(target)
    assert "give a function or a class, or a lambda" in str(told.value)


def test_a_file_loaded_under_another_name_cannot_be_found_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text("def go(): ...\n")
    spec = importlib.util.spec_from_file_location("other_name", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["other_name"] = module
    try:
        spec.loader.exec_module(module)
        with pytest.raises(BadFunction, match="loaded as the module 'other_name'"):
            locate(module.go)
    finally:
        del sys.modules["other_name"]


SHOW = """
from rhdesk.code.bundling import bundle_of
def mine(): return lib.x
bundle, _ = bundle_of(mine)
print(bundle.module, sorted(bundle.files))
"""


@pytest.mark.parametrize("how", ["script", "module", "stdin"])
def test_of_a_program_s_main_module_the_modules_it_uses_travel(tmp_path: Path, how: str) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "lib.py").write_text("x = 1\n")
    (tmp_path / "unused.py").write_text("x = 1\n")
    (tmp_path / "script.py").write_text(f"import lib{SHOW}")
    (tmp_path / "pkg" / "tool.py").write_text(f"import lib{SHOW}")
    args = {"script": ["script.py"], "module": ["-m", "pkg.tool"], "stdin": ["-"]}[how]
    done = subprocess.run(
        [sys.executable, *args],
        cwd=tmp_path,
        input=f"import lib{SHOW}",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    files = ["lib.py", *(["pkg/__init__.py"] if how == "module" else [])]
    assert done.stdout.strip() == f"__main__ {files}"


# ---------------------------------------------------------------- functions in files


APP = '''
"""App."""
import sys
from lib import imported
raise SystemExit("nobody may run this")
if sys.platform == "linux":
    def under_if(): ...
else:
    def under_else(): ...
try:
    from fast import train
except ImportError:
    def under_except(): ...
async def later(): ...
def twice(a): ...
def twice(a, b): ...
assigned = 3
class Net:
    def fit(self): ...
    class Inner:
        def deep(self): ...
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "files"
    (place / "pkg" / "sub").mkdir(parents=True)
    (place / "bare").mkdir()
    (place / "app.py").write_text(APP)
    (place / "pkg" / "__init__.py").write_text("def top(): ...\n")
    (place / "pkg" / "sub" / "__init__.py").write_text("")
    (place / "pkg" / "sub" / "mod.py").write_text("def train(): ...\n")
    (place / "bare" / "mod.py").write_text("def train(): ...\n")
    (place / "a.b.py").write_text("def train(): ...\n")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    ("spec", "root", "module"),
    [
        ("app.py:later", "", "app"), ("./app.py:Net", "", "app"), ("app:Net.fit", "", "app"),
        ("app.py:Net.Inner.deep", "", "app"), ("app.py:under_if", "", "app"),
        ("app.py:under_else", "", "app"), ("app.py:under_except", "", "app"),
        ("pkg/sub/mod.py:train", "", "pkg.sub.mod"), ("pkg.sub.mod:train", "", "pkg.sub.mod"),
        ("pkg:top", "", "pkg"), ("pkg/__init__.py:top", "", "pkg"),
        ("bare.mod:train", "", "bare.mod"), ("bare/mod.py:train", "bare", "mod"),
    ],
)  # fmt: skip
def test_a_function_in_a_file_is_found_without_running_it(
    project: Path, spec: str, root: str, module: str
) -> None:
    source, node = parse_spec(spec)
    assert (source.kind, source.module, source.root) == ("source", module, project / root)
    assert source.qualname == spec.rpartition(":")[2]
    assert node.name == source.qualname.rpartition(".")[2]


def test_of_two_with_one_name_the_last_is_the_one_that_runs(project: Path) -> None:
    _, node = parse_spec("app.py:twice")
    assert isinstance(node, ast.FunctionDef)
    assert len(node.args.args) == 2


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "ap.py:train",
            r"no file ap\.py; did you mean app\.py or a\.b\.py\? \(a function in a file",
        ),
        ("pkg/sub/mob.py:train", r"did you mean pkg/sub/mod\.py\?"),
        ("pkg.sub.mob:train", r"did you mean pkg/sub/mod\.py\?"),
        ("nowhere/app.py:train", r"there is no file nowhere/app\.py \("),
        ("bare:train", "bare is a folder"),
        ("app.py:Net.fitt", r"did you mean Net\.fit\?"),
        ("app.py:latr", r"did you mean later\?"),
        ("app.py:zzz", "it has Net, later, twice, under_else, under_except, under_if$"),
        ("app.py:imported", "it is imported there from lib$"),
        ("app.py:assigned", "line 17 assigns it"),
        ("a.b.py:train", r"rename 'a\.b' so that it has no dot"),
    ],
)
def test_a_wrong_spelling_is_told_with_the_nearest_right_one(
    project: Path, spec: str, says: str
) -> None:
    with pytest.raises(BadFunction, match=says):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"def f(:\n  pass\n", "broken.py, line 1: invalid syntax\n  def f(:\n        ^"),
        (b"if x:\n\treturn )\n", "broken.py, line 2: unmatched ')'\n  \treturn )\n  \t       ^"),
        (b"def f():\npass\n", "line 2: expected an indented block"),
        (b"# coding: latin-9000\n", "unknown encoding"),
        (b"x = '\xff'\n", "broken.py"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = " + b"-" * 100_000 + b"1\n", "nested too deeply|too many"),
    ],
)
def test_a_file_that_is_not_python_is_told_with_the_place(
    tmp_path: Path, data: bytes, says: str
) -> None:
    file = tmp_path / "broken.py"
    file.write_bytes(data)
    with pytest.raises(BadFunction) as told:
        parse_file(file)
    assert any(each in str(told.value) for each in says.split("|"))


def test_a_file_that_is_gone_or_a_folder_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadFunction, match=r"gone\.py cannot be read: No such file"):
        parse_file(tmp_path / "gone.py")
    with pytest.raises(BadFunction, match="cannot be read: Is a directory"):
        parse_file(tmp_path)


def test_a_doubtful_escape_in_a_file_is_no_error_here(tmp_path: Path) -> None:
    file = tmp_path / "old.py"
    file.write_text(r"x = '\d'")
    assert parse_file(file).body


@pytest.mark.parametrize(
    ("target", "is_one"),
    [
        ("app.py:train", True), ("pkg.mod:C.m", True), ("a b.py:f", True), ("train", False),
        ("~/train", False), ("~/a:b", False), ("@x:y", False), ("app.py:", False), (":f", False),
        ("", False),
    ],
)  # fmt: skip
def test_a_spec_is_told_from_a_saved_name(target: str, is_one: bool) -> None:
    assert is_spec(target) is is_one
