"""Settings: who wins, who may decide what, and files that keep what a person wrote in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rhdesk as rh
from rhdesk.config import Settings, config_file
from rhdesk.config.explain import explain, lint, schema
from rhdesk.config.file import write
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Record


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def said(key: str) -> list[str]:
    (found,) = explain(key)
    return [f"{each.layer}={each.value}" for each in found.said]


def put(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_each_layer_wins_over_the_ones_before_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said("autostop_mins") == ["default=-1"]
    put(Path.home() / ".rh" / "config.yaml", "default_autostop: 10\ntoken: secret\n")
    assert Settings.load().autostop_mins == 10
    put(config_file(), "autostop_mins = 20\n")
    assert Settings.load().autostop_mins == 20
    put(project / "rhdesk.toml", "autostop_mins = 30\n")
    monkeypatch.chdir(project / "deep" / "er")
    assert Settings.load().autostop_mins == 30
    monkeypatch.setenv("RHDESK_AUTOSTOP_MINS", "40")
    assert Settings.load().autostop_mins == 40
    assert Settings.load(autostop_mins=50).autostop_mins == 50
    assert said("autostop_mins") == [
        "default=-1", "old=10", "user=20", "project=30", "environment=40",
    ]  # fmt: skip
    (found,) = explain("autostop_mins")
    assert (found.value, found.source.where) == (40, "RHDESK_AUTOSTOP_MINS")


def test_a_project_decides_nothing_about_a_persons_record(project: Path) -> None:
    put(project / "rhdesk.toml", "keep_days = 0\n")
    with pytest.raises(BadInput, match="only you can decide"):
        Settings.load()
    with pytest.raises(BadInput, match="for you to decide"):
        write("data_dir", "/tmp/elsewhere", project=True)


def test_a_project_ends_where_its_repository_does(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(project.parent / "rhdesk.toml", "cluster = 'outer'\n")
    assert Settings.load().cluster == "outer"
    (project / ".git").mkdir()
    assert Settings.load().cluster == "here"
    monkeypatch.chdir(Path.home())
    put(Path.home() / "rhdesk.toml", "cluster = 'home'\n")
    assert Settings.load().cluster == "here"


def test_what_a_person_wrote_in_the_file_stays(project: Path) -> None:
    file = put(config_file(), "# mine\nkeep_days = 7  # a week\n\ntheme = 'rhdesk-light'\n")
    assert write("keep_days", "14") == file
    assert file.read_text() == "# mine\nkeep_days = 14.0  # a week\n\ntheme = 'rhdesk-light'\n"
    write("autostop_mins", "30")
    write("keep_days", None)
    assert file.read_text() == "# mine\n\ntheme = 'rhdesk-light'\nautostop_mins = 30\n"


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("keep_days", "-1", ">= 0"),
        ("keep_days", "soon", "keep_days"),
        ("keep_dais", "1", "keep_d"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(key: str, value: str, hint: str) -> None:
    file = put(config_file(), "keep_days = 7\n")
    with pytest.raises(BadInput, match=hint):
        write(key, value)
    assert file.read_text() == "keep_days = 7\n"


def test_lint_lists_everything_with_its_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put(config_file(), "theme = 'rhdesk-dark'\nkep_days = 8\nkeep_bytes = -1\n")
    put(project / "rhdesk.toml", "cluster = \n")
    monkeypatch.setenv("RHDESK_AUTOSTOP_MINS", "often")
    found = [f"{flaw.where}|{flaw.what}|{flaw.remedy}" for flaw in lint()]
    assert found[0] == f"{file}:2|kep_days is no setting|did you mean keep_days?"
    assert found[1].startswith(f"{file}:3|keep_bytes cannot be -1")
    assert "rhdesk.toml|it is not TOML" in found[2]
    assert "RHDESK_AUTOSTOP_MINS|autostop_mins cannot be 'often'" in found[3]
    assert len(found) == 4


def test_nothing_is_wrong_at_a_new_desk() -> None:
    assert lint() == []


def test_the_schema_knows_every_setting_and_its_limits() -> None:
    made = json.loads(json.dumps(schema()))
    assert set(made["properties"]) == set(Settings.__struct_fields__)
    assert made["properties"]["keep_days"]["minimum"] == 0
    assert made["properties"]["theme"]["description"]
    assert str(Path.home()) not in json.dumps(made)


async def test_the_desk_has_them_as_verbs() -> None:
    async with AsyncDesk.open() as desk:
        file = await desk.set_setting("autostop_mins", "30")
        (found,) = await desk.explain_settings("autostop_mins")
        assert (found.value, found.source.where) == (30, file)
        with pytest.raises(NotFound, match="autostop_mins"):
            await desk.explain_settings("autostop")
        assert await desk.lint_settings() == []
        assert (await desk.settings_schema())["type"] == "object"


async def test_settings_go_to_another_machine_and_folders_do_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(config_file(), f"keep_days = 7\ndata_dir = '{project / 'data'}'\n")
    async with AsyncDesk.open() as desk:
        saved = await desk.upload_settings("~/settings")
        assert saved.config["settings"] == {"keep_days": 7}
        put(config_file(), f"theme = 'rhdesk-light'\ndata_dir = '{project / 'data'}'\n")
        assert await desk.download_settings("~/settings") == ["keep_days"]
        assert Settings.load().keep_days == 7
        assert Settings.load().theme == "rhdesk-light"
        await desk.save(Record(name="~/other", resource_type="env", config={}))
        with pytest.raises(BadInput, match="holds no settings"):
            await desk.download_settings("~/other")
        bad = {"settings": {"theme": "rhdesk-dark", "keep_days": "never"}}
        await desk.save(Record(name="~/bad", resource_type="settings", config=bad))
        with pytest.raises(BadInput, match="keep_days"):
            await desk.download_settings("~/bad")
        assert Settings.load().theme == "rhdesk-light", "all or none"


def test_the_spelling_of_v0_0_12_sets_the_same(project: Path) -> None:
    rh.configs.set("default_autostop", 45)
    assert rh.configs.get("default_autostop") == rh.configs.get("autostop_mins") == 45
    assert Settings.load().autostop_mins == 45
    rh.configs.delete("default_autostop")
    assert rh.configs.get("autostop_mins") == -1
    assert rh.configs.get("token") is None
    with pytest.raises(BadInput, match="rhdesk login"):
        rh.configs.set("token", "x")
    with pytest.raises(BadInput, match="settings are"):
        rh.configs.set("disable_data_collection", True)
