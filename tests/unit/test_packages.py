"""Package specs, and variables from .env files, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rhdesk.code.env_vars import load_env_vars
from rhdesk.code.packages import Requirements, parse
from rhdesk.errors import BadInput, BadRequirement


def lines(*specs: str, folder: Path) -> tuple[str, ...]:
    return parse(specs, folder=folder).lines


def a_project(folder: Path, name: str = "lib") -> Path:
    place = folder / name
    place.mkdir()
    (place / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = ["six>=1", "iniconfig"]\n'
    )
    return place


@pytest.mark.parametrize(
    "spec",
    [
        "numpy",
        "numpy==2.1",
        "numpy>=2,<3",
        "uvicorn[standard]>=0.30",
        "pandas~=2.2 ; python_version >= '3.11'",
        "ruamel.yaml != 0.18.1",
        "six @ git+https://github.com/benjaminp/six@1.16.0",
        "six @ https://host.example/six-1.16.0-py2.py3-none-any.whl",
        "git+https://host.example/u/r@v1.2#subdirectory=lib",
        "git+ssh://git@host.example/u/r",
    ],
)
def test_a_requirement_stays_as_it_was_written(spec: str, tmp_path: Path) -> None:
    assert lines(spec, folder=tmp_path) == (spec,)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("pip:numpy==2.1", "numpy==2.1"),
        ("https://github.com/u/r", "git+https://github.com/u/r"),
        ("https://github.com/u/r.git", "git+https://github.com/u/r"),
        ("https://github.com/u/r.git@v1", "git+https://github.com/u/r@v1"),
        ("https://github.com/u/r/tree/dev", "git+https://github.com/u/r@dev"),
        ("pip:https://github.com/u/r", "git+https://github.com/u/r"),
        ("git@github.com:u/r.git", "git+ssh://git@github.com/u/r.git"),
    ],
)
def test_every_spelling_of_runhouse_is_read(spec: str, line: str, tmp_path: Path) -> None:
    assert lines(spec, folder=tmp_path) == (line,)


@pytest.mark.parametrize("spec", ["reqs:./", "./", "reqs:.", "requirements.txt", "."])
def test_a_folder_means_the_lines_of_its_requirements_file(spec: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# what we need\nsix==1.16.0  # pinned\n\niniconfig \\\n  >=2\nsix==1.16.0\n"
    )
    assert lines(spec, folder=tmp_path) == ("six==1.16.0", "iniconfig >=2")


def test_without_a_requirements_file_the_projects_dependencies_count(tmp_path: Path) -> None:
    place = a_project(tmp_path)
    assert lines("reqs:./lib", folder=tmp_path) == ("six>=1", "iniconfig")
    assert lines(str(place), folder=Path("/")) == ("six>=1", "iniconfig")


def test_a_local_project_becomes_an_absolute_folder(tmp_path: Path) -> None:
    place = a_project(tmp_path)
    for spec in ("local:./lib", "local:lib", "pip:./lib", f"local:{place}"):
        assert parse([spec], folder=tmp_path) == Requirements((), (str(place),))
    assert parse(["local:lib[fast]"], folder=tmp_path).folders == (f"{place}[fast]",)


def test_a_folder_that_shares_a_packages_name_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    assert lines("numpy", folder=tmp_path) == ("numpy",)


def test_a_requirements_file_may_name_others_projects_bounds_and_indexes(tmp_path: Path) -> None:
    place = a_project(tmp_path)
    (tmp_path / "base.txt").write_text("six==1.16.0 --hash=sha256:00 \\\n --hash=sha256:11\n")
    (tmp_path / "bounds.txt").write_text("numpy<2\n")
    (tmp_path / "requirements.txt").write_text(
        "-r base.txt\n-r requirements.txt\n-c bounds.txt\n-e ./lib\n./lib\n"
        "--extra-index-url https://host.example/simple?a=b\n--require-hashes\n"
    )
    assert parse(["./"], folder=tmp_path) == Requirements(
        (
            "six==1.16.0 --hash=sha256:00 --hash=sha256:11",
            "constraint:numpy<2",
            "--extra-index-url https://host.example/simple?a=b",
        ),
        (str(place),),
    )


def test_options_after_a_requirement_say_where_it_comes_from(tmp_path: Path) -> None:
    found = lines("pip:torch --index-url https://host.example/cpu", folder=tmp_path)
    assert found == ("--index-url https://host.example/cpu", "torch")


def test_the_working_folder_brings_its_requirements_file_if_it_has_one(tmp_path: Path) -> None:
    assert parse(["six"], folder=tmp_path, working_dir=tmp_path).lines == ("six",)
    (tmp_path / "requirements.txt").write_text("iniconfig\n")
    assert parse(["six"], folder=tmp_path, working_dir=tmp_path).lines == ("six", "iniconfig")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "empty text"),
        ("numpy=2.1", "did you mean 'numpy==2.1'"),
        ("numpy 2.1", "'numpy 2.1' is not a requirement; write numpy==2.1"),
        ("num py", "is not a requirement"),
        ("six\nnumpy", "more than one line"),
        ("./nothing", "there is no file or folder"),
        ("local:./nothing", "there is no folder"),
        ("local:./plain", "is not a project"),
        ("reqs:./plain", "give it as working_dir"),
        ("pip:", "names nothing after pip:"),
        (
            "conda:numpy=1.2",
            "conda packages are not supported; use the package's name on the index",
        ),
        ("rh:mine", "cannot be loaded by a saved name yet"),
        ("apt:curl", "apt: is not a way to install"),
        ("ftp://host.example/x", "ftp:// is not an address"),
        ("https://host.example/u/r", "write git+https://host.example/u/r"),
        ("--no-deps six", "--no-deps is not known here"),
        ("-r missing.txt", "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_says_what_can(spec: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(BadRequirement) as caught:
        parse([spec], folder=tmp_path)
    assert said in str(caught.value)


def test_an_error_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n\nnum py\n")
    with pytest.raises(BadRequirement, match=r"requirements\.txt:3: 'num py'"):
        parse(["./"], folder=tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        "git+https://me:hunter2@host.example/u/r",
        "six @ git+https://hunter2@host.example/u/r",
        "six --index-url https://me:hunter2@host.example/simple",
    ],
)
def test_a_password_is_refused_and_not_repeated(spec: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequirement, match="password") as caught:
        parse([spec], folder=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_pyproject_that_computes_its_dependencies_is_to_be_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndynamic = ["dependencies"]\n')
    with pytest.raises(BadRequirement, match="install the project itself: local:"):
        parse(["./"], folder=tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(BadRequirement, match="is not TOML"):
        parse(["./"], folder=tmp_path)


def test_variables_come_from_a_mapping_as_text(tmp_path: Path) -> None:
    assert load_env_vars({"A": "x", "N": 3}, folder=tmp_path) == {"A": "x", "N": "3"}


def test_variables_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_SAYS", "hello")
    (tmp_path / ".env").write_text(
        "# ours\n\nexport A=1\n B = two words  # a comment\nC='single $A # kept'\n"
        'D="line\\nnext"\nE=${A}/${SHELL_SAYS}/${NOBODY:-none}\nCOLOR=#fff\nEMPTY=\n'
        'MANY="one\ntwo"\nLAST=a=b'
    )
    assert load_env_vars(".env", folder=tmp_path) == {
        "A": "1",
        "B": "two words",
        "C": "single $A # kept",
        "D": "line\nnext",
        "E": "1/hello/none",
        "COLOR": "#fff",
        "EMPTY": "",
        "MANY": "one\ntwo",
        "LAST": "a=b",
    }


def test_a_bad_variable_is_named_but_its_value_is_not(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    for text in ("OK=1\nnot a variable hunter2\n", "OK=1\nX='hunter2\n", "OK=1\n2X=hunter2\n"):
        file.write_text(text)
        with pytest.raises(BadInput, match=r"\.env:2") as caught:
            load_env_vars(file, folder=tmp_path)
        assert "hunter2" not in str(caught.value)
    for mapping in ({"A=B": "x"}, {"A": None}, {"A": "x\0y"}):
        with pytest.raises(BadInput):
            load_env_vars(mapping, folder=tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        load_env_vars("missing.env", folder=tmp_path)
