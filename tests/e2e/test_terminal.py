"""The terminal desk in a real terminal: the main job by keys alone, over a real cluster."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

TRAIN = '''
import time


def train(alpha: float = 0.5, epochs: int = 3):
    """Train a thing.

    Args:
        alpha: Step size.
    """
    for epoch in range(epochs):
        print(f"INFO epoch={epoch} loss={alpha / (epoch + 1):.3f}")
        time.sleep(0.1)
    return {"alpha": alpha}
'''


class Terminal:
    """A tmux server of its own, with one pane."""

    def __init__(
        self, socket: Path, folder: Path, environ: dict[str, str], columns: int, rows: int
    ) -> None:
        config = socket.with_name("tmux.conf")
        config.write_text("set -g remain-on-exit on\n")  # what a desk says last is to be read
        self._base = ["tmux", "-S", str(socket), "-f", str(config)]
        command = shlex.join([sys.executable, "-m", "rhdesk.cli"])
        self._tmux(
            *("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(folder)),
            command,
            environ=environ | {"TERM": "xterm-256color"},
        )

    def keys(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(0.1)

    def text(self, typed: str) -> None:
        self._tmux("send-keys", "-l", typed)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def wait(self, seen: Callable[[str], bool] | str, within_s: float = 20.0) -> str:
        give_up = time.monotonic() + within_s
        while True:
            screen = self.screen()
            if seen in screen if isinstance(seen, str) else seen(screen):
                return screen
            assert time.monotonic() < give_up, screen
            time.sleep(0.1)

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *args: str, environ: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._base, *args], env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout


@pytest.fixture(params=[(80, 24), (140, 40)], ids=["80x24", "140x40"])
def terminal(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> Iterator[Terminal]:
    place.script("trains.py", TRAIN)
    place.rhdesk("save", "trains.py:train", "~/train_by_keys")
    made = Terminal(tmp_path / "tmux", place.project, place.environ, *request.param)
    yield made
    made.close()


def test_a_function_is_called_and_its_log_read_by_keys_alone(terminal: Terminal) -> None:
    terminal.wait("~/")
    terminal.keys("/")
    terminal.text("by_keys")
    terminal.keys("Enter")
    terminal.wait("train_by_keys")
    terminal.keys("i")
    terminal.wait("Next field")
    terminal.keys("C-r")
    screen = terminal.wait("epoch=2", 30)
    assert "loss=0.500" in screen
    terminal.wait(lambda text: "done" in text or "succeeded" in text)
    terminal.keys("Escape")
    time.sleep(0.3)
    terminal.keys("Escape")
    terminal.wait("train_by_keys")
    terminal.keys("3")
    terminal.wait("Runs")
    terminal.keys("?")
    terminal.wait("Help")
