"""Providers: what their own tools write is read, and what we write is what their tools read."""

from __future__ import annotations

import configparser
import json
import netrc
from pathlib import Path

import msgspec
import pytest

from rhdesk.errors import BadInput, NotFound
from rhdesk.secrets.providers import NAMES, provider, read, seen
from rhdesk.secrets.providers.ini import edited
from rhdesk.secrets.providers.place import Place

CANARY = "canary-4711"

AWS = f"""\
# work and play
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key={CANARY}

[prod]
aws_access_key_id = AKIAPROD
aws_secret_access_key = prod-secret
aws_session_token = prod-session
"""
AWS_CONFIG = """\
[default]
region = eu-west-1
output = json
[profile prod]
region = us-east-2
role_session_name = ana
"""
GCP = json.dumps(
    {
        "account": "",
        "client_id": "764086051850.apps.googleusercontent.com",
        "client_secret": CANARY,
        "quota_project_id": "acme",
        "refresh_token": "1//0e",
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
        "service_account_impersonation": {"token_lifetime_seconds": 600},
    }
)
GH = f"""\
github.com:
    git_protocol: ssh
    users:
        ana:
            oauth_token: {CANARY}
        bot:
            oauth_token: gho_bot
    user: ana
    oauth_token: {CANARY}
enterprise.acme.io:
    oauth_token: ghe_1
"""
DOCKER = json.dumps(
    {
        "auths": {
            "https://index.docker.io/v1/": {"auth": "YW5hOmNhbmFyeS00NzEx"},
            "ghcr.io": {"auth": "Ym90Ong=", "identitytoken": CANARY},
        },
        "credHelpers": {"eu.gcr.io": "gcloud"},
    }
)
KUBE = f"""\
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster: {{server: "https://10.0.0.1:6443"}}
users:
- name: ana
  user: {{token: {CANARY}}}
contexts:
- name: lab
  context: {{cluster: lab, user: ana}}
"""
NETRC = f"""\
machine api.wandb.ai
  login user
  password {CANARY}
machine example.org login ana password other
"""

FILES = {
    "aws": {".aws/credentials": AWS, ".aws/config": AWS_CONFIG},
    "gcp": {".config/gcloud/application_default_credentials.json": GCP},
    "azure": {".azure/clouds.config": f"[AzureCloud]\nsubscription = {CANARY}\n"},
    "huggingface": {".cache/huggingface/token": f"{CANARY}\n"},
    "github": {".config/gh/hosts.yml": GH},
    "lambda": {".lambda_cloud/lambda_keys": f"api_key = {CANARY}\n"},
    "sky": {".ssh/sky-key": CANARY, ".ssh/sky-key.pub": "ssh-rsa A sky"},
    "ssh": {".ssh/id_ed25519": CANARY, ".ssh/id_ed25519.pub": "ssh-ed25519 A ana"},
    "wandb": {".netrc": NETRC},
    "docker": {".docker/config.json": DOCKER},
    "kubeconfig": {".kube/config": KUBE},
}
"""By provider, as its own tool writes them."""


def home(folder: Path, name: str, **environ: str) -> Place:
    """A home in which one provider's tool was at work."""
    for path, text in FILES.get(name, {}).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Place(folder, environ)


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_a_tool_wrote_goes_into_an_empty_home_and_reads_the_same(
    tmp_path: Path, name: str
) -> None:
    found = read(name, home(tmp_path / "laptop", name))
    assert any(CANARY in value or "Y2FuYXJ5" in value for value in found.values()) or name == "aws"
    empty = Place(tmp_path / "host", {})
    with pytest.raises(NotFound, match=name):
        read(name, empty)
    written = provider(name).write(found, empty)
    assert read(name, empty) == found
    assert written
    for file in written:
        assert file.is_relative_to(tmp_path / "host")
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", sorted(FILES))
def test_writing_twice_changes_nothing_more(tmp_path: Path, name: str) -> None:
    place = home(tmp_path, name)
    found = read(name, place)
    provider(name).write(found, place)
    once = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    provider(name).write(found, place)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == once


def test_every_provider_is_tried() -> None:
    assert set(NAMES) == set(FILES) | {"openai", "anthropic"}


def test_aws_writes_one_profile_and_leaves_the_others(tmp_path: Path) -> None:
    place = home(tmp_path, "aws", AWS_PROFILE="prod")
    assert read("aws", place) == {
        "access_key": "AKIAPROD",
        "secret_key": "prod-secret",
        "session_token": "prod-session",
        "region": "us-east-2",
    }
    new = {"access_key": "AKIANEW", "secret_key": "new", "region": "eu-north-1"}
    provider("aws").write(new, place)
    text = (tmp_path / ".aws/credentials").read_text()
    assert text.startswith(AWS.partition("[prod]")[0])
    assert "prod-session" not in text, "a session token of other keys opens nothing"
    parsed = configparser.ConfigParser()
    parsed.read(tmp_path / ".aws/config")
    assert parsed["profile prod"] == {"region": "eu-north-1", "role_session_name": "ana"}
    assert parsed["default"]["output"] == "json"


def test_aws_files_may_be_elsewhere(tmp_path: Path) -> None:
    place = Place(tmp_path, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys")})
    provider("aws").write({"access_key": "A", "secret_key": "B"}, place)
    assert read("aws", place) == {"access_key": "A", "secret_key": "B"}
    assert not (tmp_path / ".aws").exists()


def test_github_keeps_other_hosts_and_users(tmp_path: Path) -> None:
    place = home(tmp_path, "github")
    provider("github").write({"token": "gho_new", "user": "ana"}, place)
    said = msgspec.yaml.decode((tmp_path / ".config/gh/hosts.yml").read_bytes())
    assert said["enterprise.acme.io"] == {"oauth_token": "ghe_1"}
    assert said["github.com"] == {
        "git_protocol": "ssh",
        "user": "ana",
        "users": {"ana": {"oauth_token": "gho_new"}, "bot": {"oauth_token": "gho_bot"}},
        "oauth_token": "gho_new",
    }


def test_docker_keeps_other_registries_and_helpers(tmp_path: Path) -> None:
    place = home(tmp_path, "docker")
    provider("docker").write({"quay.io": "cTpy"}, place)
    said = json.loads((tmp_path / ".docker/config.json").read_text())
    assert said["auths"].keys() == {"https://index.docker.io/v1/", "ghcr.io", "quay.io"}
    assert said["auths"]["ghcr.io"]["identitytoken"] == CANARY
    assert said["credHelpers"] == {"eu.gcr.io": "gcloud"}


def test_docker_says_when_a_helper_has_them(tmp_path: Path) -> None:
    file = tmp_path / ".docker" / "config.json"
    file.parent.mkdir()
    file.write_text('{"auths": {"ghcr.io": {}}, "credsStore": "secretservice"}')
    with pytest.raises(BadInput, match="secretservice"):
        read("docker", Place(tmp_path, {}))


def test_kubeconfig_is_merged_by_name(tmp_path: Path) -> None:
    place = home(tmp_path, "kubeconfig")
    other = KUBE.replace(CANARY, "t2").replace("lab", "prod").replace("ana", "bot")
    provider("kubeconfig").write({"config": other}, place)
    said = msgspec.yaml.decode((tmp_path / ".kube/config").read_bytes())
    assert [each["name"] for each in said["clusters"]] == ["lab", "prod"]
    assert [each["name"] for each in said["users"]] == ["ana", "bot"]
    assert said["current-context"] == "prod"
    provider("kubeconfig").write({"config": other.replace("t2", "t3")}, place)
    said = msgspec.yaml.decode((tmp_path / ".kube/config").read_bytes())
    assert [each["user"]["token"] for each in said["users"]] == [CANARY, "t3"]


def test_wandb_keeps_other_machines(tmp_path: Path) -> None:
    place = home(tmp_path, "wandb")
    provider("wandb").write({"api_key": "new"}, place)
    parsed = netrc.netrc(str(tmp_path / ".netrc"))
    assert parsed.authenticators("example.org") == ("ana", "", "other")
    assert parsed.authenticators("api.wandb.ai") == ("user", "", "new")


def test_an_ssh_key_is_never_written_over(tmp_path: Path) -> None:
    place = home(tmp_path, "ssh")
    with pytest.raises(ValueError, match="another key"):
        provider("ssh").write({"id_rsa": "new", "id_ed25519": "other"}, place)
    assert not (tmp_path / ".ssh" / "id_rsa").exists(), "all or none"
    assert (tmp_path / ".ssh" / "id_ed25519").read_text() == CANARY
    for name in ("../x", ".hidden", "authorized_keys/../x"):
        with pytest.raises(ValueError, match="no name"):
            provider("ssh").write({name: "x"}, place)


def test_sky_and_ssh_do_not_share_a_key(tmp_path: Path) -> None:
    place = home(tmp_path, "sky")
    home(tmp_path, "ssh")
    assert read("sky", place).keys() == {"sky-key", "sky-key.pub"}
    assert read("ssh", place).keys() == {"id_ed25519", "id_ed25519.pub"}


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_provider_without_a_file_says_which_variable(tmp_path: Path, name: str) -> None:
    (variable,) = provider(name).variables
    place = Place(tmp_path, {variable: CANARY})
    assert read(name, place) == read(name, place, from_env=True) == {"api_key": CANARY}
    with pytest.raises(ValueError, match=variable):
        provider(name).write({"api_key": CANARY}, place)


def test_files_that_cannot_be_understood_are_told_without_what_is_in_them(tmp_path: Path) -> None:
    broken = {
        "aws": (".aws/credentials", f"{CANARY} no section"),
        "gcp": (".config/gcloud/application_default_credentials.json", f'{{"client": "{CANARY}'),
        "azure": (".azure/clouds.config", f"{CANARY}"),
        "github": (".config/gh/hosts.yml", f"a: [{CANARY}"),
        "docker": (".docker/config.json", f"[{CANARY}"),
        "kubeconfig": (".kube/config", f"{{{CANARY}"),
        "wandb": (".netrc", f"machien {CANARY}"),
    }
    for name, (path, text) in broken.items():
        file = tmp_path / name / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
        place = Place(tmp_path / name, {})
        with pytest.raises(BadInput) as caught:
            read(name, place)
        assert str(file) in str(caught.value)
        assert CANARY not in str(caught.value)
        (flawed,) = [each for each in seen(place) if each.flaw]
        assert (flawed.name, CANARY in flawed.flaw) == (name, False)


def test_where_credentials_are_is_seen_without_reading_them_out(tmp_path: Path) -> None:
    place = home(tmp_path, "aws", HF_TOKEN=CANARY)
    found = {each.name: each.found for each in seen(place) if each.found}
    assert found == {"aws": str(tmp_path / ".aws/credentials"), "huggingface": "HF_TOKEN"}
    assert CANARY not in repr(seen(place))


def test_a_section_is_edited_and_every_other_line_stays() -> None:
    text = "# top\n[a]\nx = 1\n\n# b is next\n[b]\nx=2\n  more\ny = 3\n"
    assert edited(text, "a", {"x": "9"}) == text.replace("x = 1", "x = 9")
    assert edited(text, "a", {"z": "9"}) == text.replace("x = 1\n", "x = 1\nz = 9\n")
    assert edited(text, "b", {"y": None}) == text.replace("y = 3\n", "")
    assert edited("", "a", {"x": "1"}) == "[a]\nx = 1\n"
    assert edited(text, "c", {"x": "1"}) == text + "\n[c]\nx = 1\n"
