"""Which files travel with a function: all that it imports from its project, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rhdesk.code.closure import closure
from rhdesk.errors import BadFunction

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Files of a project by path, a dot for a slash not being needed."""
    root = tmp_path / "project"
    root.mkdir()

    def files(**texts: str) -> Path:
        for path, text in texts.items():
            file = root / (path.replace("__", "/").replace("/init", "/__init__") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return root

    return files


def reached(root: Path, start: str = "app.py") -> list[str]:
    return sorted(closure(root, root / start))


@pytest.mark.parametrize(
    "line",
    [
        "import pkg.sub.mod", "import pkg.sub.mod as m", "from pkg.sub import mod",
        "from pkg.sub.mod import x", "from pkg.sub.mod import *",
        "def f():\n    from pkg.sub import mod",
        "try:\n    import pkg.sub.mod\nexcept ImportError: pass",
        "if x:\n    pass\nelif y:\n    import pkg.sub.mod",
        "class A:\n    import pkg.sub.mod", "async def f():\n    with x:\n        import pkg.sub.mod",
        "match x:\n    case 1:\n        import pkg.sub.mod",
        "if not TYPE_CHECKING:\n    import pkg.sub.mod",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import pkg.sub.mod",
        "if TYPE_CHECKING or x:\n    import pkg.sub.mod",
        "import numpy, json, pkg.sub.mod",
    ],
)  # fmt: skip
def test_an_import_is_followed_wherever_it_stands(write: Write, line: str) -> None:
    root = write(app=line, pkg__init="", pkg__sub__init="", pkg__sub__mod="", pkg__other="")
    assert reached(root) == [
        "app.py",
        "pkg/__init__.py",
        "pkg/sub/__init__.py",
        "pkg/sub/mod.py",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "if TYPE_CHECKING:\n    import lib", "if typing.TYPE_CHECKING:\n    import lib",
        "if not TYPE_CHECKING:\n    pass\nelse:\n    import lib", "x = 'import lib'",
        "import numpy", "from . import nothing", "from ...... import lib",
    ],
)  # fmt: skip
def test_what_never_runs_here_is_not_taken(write: Write, line: str) -> None:
    assert reached(write(app=line, lib="")) == ["app.py"]


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("from . import b", ["b"]), ("from .b import x", ["b"]), ("from .. import c", ["../c"]),
        ("from ..c import x", ["../c"]), ("from .sub import d", ["sub/__init__", "sub/d"]),
        ("from . import sub", ["sub/__init__"]),
    ],
)  # fmt: skip
def test_relative_imports_start_at_the_package(write: Write, line: str, files: list[str]) -> None:
    root = write(
        top__init="", top__c="", top__in__init="", top__in__a=line, top__in__b="",
        top__in__sub__init="", top__in__sub__d="", b="", c="",
    )  # fmt: skip
    named = {"../c": "top/c.py"}
    expected = {"top/__init__.py", "top/in/__init__.py", "top/in/a.py"}
    expected |= {named.get(name, f"top/in/{name}.py") for name in files}
    assert reached(root, "top/in/a.py") == sorted(expected)


def test_a_package_s_own_relative_imports_start_inside_it(write: Write) -> None:
    root = write(
        app="import pkg", pkg__init="from .a import x", pkg__a="from . import b", pkg__b=""
    )
    assert reached(root) == ["app.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py"]


def test_folders_without_an_init_are_packages_too(write: Write) -> None:
    root = write(
        app="import space.mod", space__mod="from space.deep import leaf", space__deep__leaf=""
    )
    assert reached(root) == ["app.py", "space/deep/leaf.py", "space/mod.py"]


def test_modules_that_import_each_other_end(write: Write) -> None:
    assert reached(write(app="import b", b="import app")) == ["app.py", "b.py"]


def test_the_project_s_module_goes_before_python_s_of_that_name(write: Write) -> None:
    assert reached(write(app="import json", json="")) == ["app.py", "json.py"]


def test_what_a_link_leads_to_outside_the_project_stays_here(write: Write, tmp_path: Path) -> None:
    root = write(app="import out, near", real="import far", far="")
    (tmp_path / "secret.py").write_text("key = 1\n")
    (root / "out.py").symlink_to(tmp_path / "secret.py")
    (root / "near.py").symlink_to(root / "real.py")
    # A link inside the project keeps the name by which it is imported.
    assert reached(root) == ["app.py", "far.py", "near.py"]


def test_a_folder_linked_from_outside_stays_there(write: Write, tmp_path: Path) -> None:
    root = write(app="import lib.mod")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mod.py").write_text("")
    (root / "lib").symlink_to(tmp_path / "elsewhere")
    assert reached(root) == ["app.py"]


def test_a_broken_file_on_the_way_is_told_with_the_place(write: Write) -> None:
    root = write(app="import lib", lib="x = 1\ndef f(:\n")
    with pytest.raises(
        BadFunction, match=r"lib\.py, line 2: invalid syntax\n  def f\(:\n        \^"
    ):
        closure(root, root / "app.py")
