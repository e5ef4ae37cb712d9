"""A project of Runhouse v0.0.12 is brought over: nothing it understands is lost, the rest listed.

The configs are those v0.0.12 writes: `config_for_rns` of each class, indented by four.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from rhdesk.config import Settings
from rhdesk.errors import BadInput
from rhdesk.models import Imported, Name
from rhdesk.rns.names import LocalNames
from rhdesk.rns.old_project import import_project

P = Name.parse
REF = "refs/rhdesk/names"
CANARY: Final = "hunter2-canary"

CLUSTER: Final = {
    "name": "~/rh-box",
    "resource_type": "cluster",
    "resource_subtype": "Cluster",
    "ips": ["10.0.0.7"],
    "ssh_creds": {"ssh_user": "ubuntu", "ssh_private_key": "~/.ssh/id_rsa"},
}
OLD: Final[dict[str, dict[str, Any]]] = {
    "rh-box": CLUSTER,
    "password-box": {
        **CLUSTER,
        "name": "~/password-box",
        "ssh_creds": {"ssh_user": "ubuntu", "password": CANARY},
    },
    "spot": {
        "name": "~/spot",
        "resource_type": "cluster",
        "resource_subtype": "OnDemandCluster",
        "instance_type": "A100:4",
        "num_instances": None,
        "provider": "cheapest",
        "autostop_mins": -1,
        "use_spot": True,
        "image_id": None,
        "region": None,
        "sky_state": {"handle": {"cluster_name": "spot"}, "ssh_creds": {"ssh_user": "ubuntu"}},
    },
    "base-env": {
        "name": "~/base-env",
        "resource_type": "env",
        "resource_subtype": "Env",
        "reqs": ["torch==2.0.1", "./"],
        "setup_cmds": ["echo ready"],
        "env_vars": {"OMP_NUM_THREADS": "1"},
        "working_dir": "./",
        "env_name": "base-env",
    },
    "team/train": {
        "name": "~/train",
        "resource_type": "function",
        "resource_subtype": "Function",
        "system": "~/rh-box",
        "env": "~/base-env",
        "fn_pointers": ["~/proj", "app", "train"],
        "resources": {"num_gpus": 1},
        "provenance": None,
    },
    "models": {
        "name": "~/models",
        "resource_type": "folder",
        "resource_subtype": "S3Folder",
        "path": "runhouse-folder/models",
        "system": "s3",
        "data_config": {},
        "local_mount": False,
    },
    "rows": {
        "name": "~/rows",
        "resource_type": "table",
        "resource_subtype": "PandasTable",
        "path": "~/.cache/runhouse/tables/rows",
        "system": "file",
        "stream_format": "pandas",
        "metadata": {"rows": 12, "ratio": 0.1, "big": 12345678901234567890},
        "partition_cols": None,
    },
    "blob": {
        "name": "~/blob",
        "resource_type": "blob",
        "resource_subtype": "Blob",
        "system": "~/rh-box",
        "path": "blob.pkl",
        "later_member": {"kept": ["äöü", None, True]},
    },
    "odd": {"name": "~/odd", "resource_type": "kubernetes_thing", "x": 1},
}


class Machine:
    """A home with v0.0.12's settings, an old project, and a new one."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.old = folder / "old"
        self.new = folder / "new"
        for project in (self.old, self.new):
            subprocess.run(["git", "init", "-q", str(project)], check=True)
        self.settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
        for name, config in OLD.items():
            self.write(name, json.dumps(config, indent=4))
        self.write("My model", json.dumps(OLD["blob"]))
        self.write("broken", '{"name": "~/broken",\n oops}')
        self.write("blob/inner", json.dumps(OLD["blob"]))
        self.write("typeless", '{"name": "~/typeless"}')
        (folder / ".rh/logs/run_1").mkdir(parents=True)
        (folder / ".rh/config.yaml").write_text(
            f"token: {CANARY}\nusername: ann\ndefault_folder: /ann\ndefault_provider: cheapest\n"
            "use_spot: false\napi_server_url: https://api.run.house\nsecrets:\n"
            "  aws: ~/.aws/credentials\n"
        )
        (folder / ".rh/cluster_config.yaml").write_text("name: ~/rh-box\n")

    def write(self, name: str, text: str) -> None:
        file = self.old / "rh" / name / "config.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def names(self, project: Path) -> LocalNames:
        return LocalNames(self.settings, project)

    def bring(self, *, into: Path, dry_run: bool = False) -> Imported:
        names = self.names(into)
        try:
            return import_project(names, self.old, self.home, dry_run=dry_run)
        finally:
            names.close()

    def git(self, project: Path, *arguments: str) -> str:
        command = ["git", "-C", str(project), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_every_name_comes_over_byte_for_byte(machine: Machine) -> None:
    done = machine.bring(into=machine.new)
    assert done.names == {f"~/{name}": config["resource_type"] for name, config in OLD.items()}
    for name in OLD:
        if name != "password-box":
            there, here = (p / "rh" / name / "config.json" for p in (machine.old, machine.new))
            assert here.read_bytes() == there.read_bytes()
    names = machine.names(machine.new)
    for name, config in OLD.items():
        if name != "password-box":
            assert names.load(P(f"~/{name}")).config == config
    assert len(names.history(P("~/team/train"))) == 1
    names.close()
    assert machine.git(machine.new, "log", "--format=%s", REF) == "import 9 names of old\n"


def test_what_does_not_come_over_is_listed_with_the_reason(machine: Machine) -> None:
    told = "\n".join(machine.bring(into=machine.new).not_understood)
    for said in (
        "'My model' cannot be a name here",
        "rh/broken/config.json, line 2",
        "rh/blob/inner/config.json is inside ~/blob",
        "rh/typeless/config.json, line 1: the member resource_type is missing",
        "nothing here knows what a kubernetes_thing is",
        "~/team/train: its code is not in its config, but at ~/proj app train",
        "default_provider = 'cheapest' is no setting here",
        "use_spot = False is no setting here",
        "https://api.run.house is another product's server",
        "the secrets of aws stay where they are, in ~/.aws/credentials",
        "1 run recorded by v0.0.12 stays there",
        "cluster_config.yaml",
    ):
        assert said in told
    assert len(told.splitlines()) == 12


def test_settings_that_are_understood_say_what_they_are_called_here(machine: Machine) -> None:
    settings = machine.bring(into=machine.new).settings
    assert settings.keys() == {"username", "default_folder"}
    assert "rhdesk login URL --folder /ann" in settings["default_folder"]


def test_no_secret_is_shown_or_gets_into_git(machine: Machine) -> None:
    done = machine.bring(into=machine.new)
    assert len(done.secrets) == 2
    told = "\n".join(done.secrets)
    assert "~/password-box: /ssh_creds/password is in clear text" in told
    assert ".rh/config.yaml holds a token in clear text; it was left there" in told
    assert CANARY not in str(done)
    everything = machine.git(machine.new, "log", "-p", "--all", REF)
    assert CANARY not in everything
    assert CANARY not in (machine.new / "rh/password-box/config.json").read_text()
    names = machine.names(machine.new)
    kept = names.load(P("~/password-box")).config
    assert kept["ssh_creds"] == {"ssh_user": "ubuntu"}
    names.close()
    assert CANARY in (machine.old / "rh/password-box/config.json").read_text()
    assert CANARY in (machine.home / ".rh/config.yaml").read_text()


def test_a_dry_run_tells_the_same_and_writes_nothing(machine: Machine) -> None:
    tried = machine.bring(into=machine.new, dry_run=True)
    assert not (machine.new / "rh").exists()
    assert machine.git(machine.new, "for-each-ref") == ""
    done = machine.bring(into=machine.new)
    assert tried.is_dry_run
    assert (tried.names, tried.settings) == (done.names, done.settings)
    assert (tried.not_understood, tried.secrets) == (done.not_understood, done.secrets)


def test_where_the_project_is_the_one_we_are_in_its_names_get_a_first_version(
    machine: Machine,
) -> None:
    before = {f: f.read_bytes() for f in (machine.old / "rh").rglob("config.json")}
    done = machine.bring(into=machine.old, dry_run=True)
    assert machine.git(machine.old, "for-each-ref") == ""
    done = machine.bring(into=machine.old)
    assert set(done.names) == {f"~/{name}" for name in OLD}
    assert {f: f.read_bytes() for f in (machine.old / "rh").rglob("config.json")} == before
    names = machine.names(machine.old)
    assert len(names.history(P("~/rows"))) == 1
    names.close()


def test_importing_twice_changes_nothing_and_what_is_here_already_is_not_touched(
    machine: Machine,
) -> None:
    here = machine.new / "rh/rows/config.json"
    here.parent.mkdir(parents=True)
    here.write_text('{"name": "~/rows", "resource_type": "table", "mine": true}')
    done = machine.bring(into=machine.new)
    assert "~/rows" not in done.names
    assert any("~/rows is here already with another content" in w for w in done.not_understood)
    assert json.loads(here.read_text())["mine"] is True
    tip = machine.git(machine.new, "rev-parse", REF)
    again = machine.bring(into=machine.new)
    assert again.names == {}
    assert len(again.kept) == len(OLD) - 1
    assert machine.git(machine.new, "rev-parse", REF) == tip


def test_a_folder_without_rh_says_what_one_looks_like(machine: Machine) -> None:
    names = machine.names(machine.new)
    with pytest.raises(BadInput, match=r"PROJECT/rh/NAME/config\.json"):
        import_project(names, machine.home, machine.home)
    names.close()


def test_the_command_tells_a_person_and_a_program(machine: Machine) -> None:
    def rhdesk(*typed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", *typed],
            cwd=machine.new,
            env=os.environ | {"HOME": str(machine.home)},
            capture_output=True,
            text=True,
            check=True,
        )

    done = rhdesk("import", "../old", "--dry-run")
    assert "9 names would come over" in done.stderr
    done = rhdesk("import", "../old", "--json")
    told = json.loads(done.stdout)["data"]
    assert told["names"]["~/team/train"] == "function"
    assert CANARY not in done.stdout
    done = rhdesk("import", "../old")
    assert "0 names came over" in done.stderr
    assert "9 were here already" in done.stderr
    assert "it was left there" in done.stdout
