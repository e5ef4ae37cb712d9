"""Who has no token, a wrong one, or one for another cluster is refused before anything is opened.

Every request carries a pickle that writes a file when it is opened; the routes are taken from the
servlets' own sources, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import pickle
import stat
from pathlib import Path

import pytest

import rhdesk_servlet
from rhdesk.wire.messages import Called, pack
from rhdesk.wire.payload import Head, Payload, Value
from rhdesk.wire.routes import H_CALL
from tests.conftest import Place
from tests.e2e.far import Far

pytestmark = pytest.mark.ray


class Canary:
    def __init__(self, file: str) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (self.file,))


def routes(source: str) -> list[tuple[str, str]]:
    """Method and path of every case of a servlet's match statements."""
    tree = ast.parse((Path(rhdesk_servlet.__file__).parent / source).read_text())
    found: list[tuple[str, str]] = []
    for case in [n for n in ast.walk(tree) if isinstance(n, ast.match_case)]:
        if not isinstance(case.pattern, ast.MatchSequence):
            continue
        parts = [_word(pattern) for pattern in case.pattern.patterns]
        method = parts[0] if parts[0].isupper() else "GET"
        prefix = [] if len(parts) > 1 and parts[1] in {"v1", "call"} else ["v1", "objects"]
        found.append((method, "/" + "/".join([*prefix, *parts[1:]])))
    return found


def _word(pattern: ast.pattern) -> str:
    if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
        return str(pattern.value.value)
    return "x"


def canary_payload(file: Path) -> bytes:
    data = pickle.dumps(Canary(str(file)))
    return Payload(Head((Value("pickle", None, 1),), {}, (len(data),)), [data]).to_bytes()


WRONG: dict[str, dict[str, str | None]] = {
    "no token": {"authorization": None},
    "wrong token": {"authorization": "Bearer " + "0" * 64},
    "another scheme": {"authorization": "Basic eDp5"},
    "another cluster": {"rhdesk_cluster": "0123456789abcdef"},
    "another wire": {"rhdesk_wire": "99"},
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_every_route_refuses_before_anything_is_unpickled(
    place: Place, tmp_path: Path, wrong: str
) -> None:
    far = Far(place)
    canary = tmp_path / "canary"
    called = base64.b64encode(pack(Called(run_id="r" * 32, definition="d"))).decode()
    asked = 0
    for source in ("gateway.py", "app.py"):
        for method, path in routes(source):
            headers = far.headers(**WRONG[wrong]) | {H_CALL: called}
            status, body = far.ask(source, method, path, canary_payload(canary), headers)
            assert status == 401, (source, method, path, status, body)
            asked += 1
    assert asked >= 20
    assert not canary.exists()


def test_with_the_right_token_the_canary_is_opened(place: Place, tmp_path: Path) -> None:
    """The control: the same bytes, let in."""
    far = Far(place)
    canary = tmp_path / "canary"
    called = Called(run_id=os.urandom(16).hex(), definition=far.define("builtins", "id"))
    status, _ = far.call(called, canary_payload(canary))
    assert status == 200
    assert canary.exists()


def test_no_route_of_the_servlets_is_left_out() -> None:
    """The control of the list above: as many routes as the sources have cases."""
    for source in ("gateway.py", "app.py"):
        text = (Path(rhdesk_servlet.__file__).parent / source).read_text()
        assert len(routes(source)) == text.count("            case ("), source


def test_a_run_id_seen_before_is_not_run_again(place: Place, tmp_path: Path) -> None:
    far = Far(place)
    made = tmp_path / "made"
    called = Called(run_id=os.urandom(16).hex(), definition=far.define("os", "mkdir"))
    body = Payload.of_call([str(made)], {}).to_bytes()
    first = far.call(called, body)
    made.rmdir()
    assert far.call(called, body) == first
    assert not made.exists()
    another = Called(run_id=os.urandom(16).hex(), definition=called.definition)
    assert far.call(another, body)[0] == 200
    assert made.exists(), "the control: another id does run"


@pytest.mark.parametrize("run_id", ["", "../../escaped", "two words", "line\nbreak", "x" * 200])
def test_a_run_id_that_is_no_plain_word_is_refused(
    place: Place, tmp_path: Path, run_id: str
) -> None:
    """It names a file on the cluster, and a line of its journal."""
    far = Far(place)
    made = tmp_path / "made"
    called = Called(run_id=run_id, definition=far.define("os", "mkdir"))
    status, answer = far.call(called, Payload.of_call([str(made)], {}).to_bytes())
    assert status == 400, answer
    assert not made.exists()


def test_the_idempotency_key_of_a_json_call_may_be_any_text(place: Place, tmp_path: Path) -> None:
    far = Far(place)
    far.define("os", "mkdir")
    far.define("os", "rmdir")
    made = tmp_path / "made"
    body = json.dumps({"args": [str(made)]}).encode()
    headers = far.headers() | {"idempotency-key": "order 66/../a"}
    assert far.ask("app.py", "POST", "/call/~%2Fmkdir/call", body, headers) == (200, b"null")
    assert far.ask("app.py", "POST", "/call/~%2Frmdir/call", body, headers) == (200, b"null")
    assert not made.exists(), "the key of a call of one function is not that of another's"
    assert far.ask("app.py", "POST", "/call/~%2Fmkdir/call", body, headers) == (200, b"null")
    assert not made.exists()


def test_everything_listens_on_loopback_only(place: Place) -> None:
    ours = {
        int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _is_ours(entry, place)
    }
    inodes = {inode for pid in ours for inode in _sockets(pid)}
    listening = [
        address
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        for address, state, inode in [_fields(line)]
        if state == "0A" and inode in inodes
    ]
    assert len(listening) >= 5
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    assert [address for address in listening if not address.startswith(loopback)] == []


def _fields(line: str) -> tuple[str, str, str]:
    parts = line.split()
    return parts[1].split(":")[0], parts[3], parts[9]


def _is_ours(pid: str, place: Place) -> bool:
    try:
        return str(place.home).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(fd)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found


def test_what_only_the_owner_may_read_only_the_owner_may_read(place: Place) -> None:
    place.rhdesk("run", "--", "true")
    here = place.data / "clusters" / "here"
    for file in (here / "token", here / "ray-token", place.data / "runs.db"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for folder in (here, place.data / "journal"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
