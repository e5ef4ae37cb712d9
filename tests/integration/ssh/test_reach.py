"""Reaching a machine by hand: commands, files, ports, over one connection."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.testbed.hosts import Host


@pytest.fixture
def gpubox(lab: Lab) -> Host:
    return lab.host("gpubox")


def test_a_command_runs_there_and_its_exit_code_comes_back(lab: Lab, gpubox: Host) -> None:
    done = lab.rhdesk("ssh", "gpubox", "--", "hostname; exit 3", check=False)
    assert (done.returncode, done.stdout.strip()) == (3, "gpubox")
    assert lab.rhdesk("ssh", "gpubox", check=False).returncode == 2, "a shell needs a terminal"
    assert lab.rhdesk("ssh", "here", "--", "true", check=False).returncode == 2


def test_files_and_folders_go_there_and_come_back(lab: Lab, gpubox: Host) -> None:
    folder = lab.project / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "ünïcode name.txt").write_text("one")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    lab.rhdesk("cp", "data", "gpubox:/root/new/place")
    assert (gpubox.root / "root/new/place/deep/ünïcode name.txt").read_text() == "one"
    assert (gpubox.root / "root/new/place/run.sh").stat().st_mode & 0o777 == 0o755
    lab.rhdesk("cp", "gpubox:/root/new/place", "back")
    back = lab.project / "back"
    assert {f.relative_to(back).as_posix() for f in back.rglob("*") if f.is_file()} == {
        "deep/ünïcode name.txt", "run.sh",
    }  # fmt: skip
    assert (back / "run.sh").stat().st_mode & 0o777 == 0o755
    assert not list(back.rglob("*.part"))


def test_what_cannot_be_copied_is_told_and_changes_nothing(lab: Lab, gpubox: Host) -> None:
    (gpubox.root / "root" / "kept").write_text("kept")
    lab.script("x", "x")
    for words, said in (
        (["gpubox:/nope", "x2"], "/nope"),
        (["nope", "gpubox:/root/x"], "nope"),
        (["x", "gpubox:/proc/none/x"], "cannot be written"),
        (["a", "b"], "one of the two"),
        (["gpubox:a", "gpubox:b"], "one of the two"),
    ):
        done = lab.rhdesk("cp", *words, check=False)
        assert done.returncode in {2, 3, 8}, done.stderr
        assert said in done.stderr
    assert (gpubox.root / "root" / "kept").read_text() == "kept"


def test_a_link_out_of_a_folder_is_not_followed(lab: Lab, gpubox: Host) -> None:
    """Whoever owns the host decides what is in the folder, not what is written here."""
    place = gpubox.root / "root" / "bad"
    place.mkdir()
    (place / "plain").write_text("plain")
    (place / "link").symlink_to("/etc/passwd")
    (place / "folder").symlink_to("/etc")
    lab.rhdesk("cp", "gpubox:/root/bad", "out")
    assert [f.name for f in (lab.project / "out").rglob("*")] == ["plain"]


def test_a_port_of_the_host_is_here_on_loopback_only(lab: Lab, gpubox: Host) -> None:
    running = lab.start("-m", "rhdesk.cli", "forward", "gpubox", "22")
    try:
        assert running.stdout is not None
        host, _, port = running.stdout.readline().strip().partition(":")
        assert host == "127.0.0.1"
        for _ in range(3):
            with socket.create_connection((host, int(port)), 5) as line:
                assert line.recv(4) == b"SSH-"
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection((_own_address(), int(port)), 1),
        ):
            pass
    finally:
        running.terminate()
        running.communicate()
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), 1):
        pass


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_a_port_that_is_taken_is_told(lab: Lab, gpubox: Host, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lab.rhdesk("forward", "gpubox", f"{port}:22", check=False)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert lab.rhdesk("forward", "gpubox", "x", check=False).returncode == 2
