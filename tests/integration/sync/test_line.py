"""What is at the other end is not always a store, or not now: each answer leads to one clear state."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from rhdesk.code.bundle import CodeShelf
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError
from rhdesk.models import Name
from rhdesk.sync.account import Account, Accounts, Token
from rhdesk.sync.contact import ContactFile
from rhdesk.sync.service import LARGEST_BLOB
from rhdesk.wire.store import About
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import Laptop, grant

TOKEN = "rhd_user_0123456789abcdef_" + "0" * 64
Answer = tuple[int, dict[str, str], bytes]


class Elsewhere(ThreadingHTTPServer):
    """Something that answers HTTP, as a test says."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str], Answer], certificate: Path | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []
        """Path, and the token that came with it."""
        super().__init__(("127.0.0.1", 0), _Handler)
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        status, headers, body = self.server.answer(self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's terminal."""


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Elsewhere]]:
    made: list[Elsewhere] = []

    def make(answer: Callable[[str], Answer], certificate: Path | None = None) -> Elsewhere:
        made.append(Elsewhere(answer, certificate))
        return made[-1]

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.fixture
async def laptop(tmp_path: Path) -> AsyncIterator[Laptop]:
    made = Laptop(tmp_path / "ada")
    yield made
    await made.store.aclose()


ABOUT = msgspec.json.encode(About(epoch="e", user="ada", folder="/ada"))
NEWER = msgspec.json.encode(About(api=9, oldest_api=8, epoch="e", user="ada", folder="/ada"))
FAULT = b'{"code": "busy", "message": "come \\u001b[31mback"}'


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ((401, {}, FAULT), Refused, "does not know this token"),
        ((403, {}, FAULT), Refused, "back"),
        ((426, {}, FAULT), Refused, "no common protocol"),
        ((404, {}, b"<html>"), BadInput, "is the address right"),
        ((503, {"Retry-After": "3"}, FAULT), ConnectionFailed, "cannot answer now"),
        ((500, {}, b""), ConnectionFailed, "cannot answer now"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), ConnectionFailed, "points elsewhere"),
        ((200, {}, b"<html>hello"), ConnectionFailed, "no store of rhdesk"),
        ((200, {}, b'{"epoch": 1}'), ConnectionFailed, "no store of rhdesk"),
        ((200, {}, NEWER), Refused, "protocols 8 to 9"),
        ((200, {"Content-Length": "999"}, ABOUT), ConnectionFailed, "broke"),
    ],
)  # fmt: skip
async def test_a_login_says_what_is_wrong_and_logs_nobody_in(
    laptop: Laptop,
    elsewhere: Callable[..., Elsewhere],
    answer: Answer,
    error: type[RhdeskError],
    told: str,
) -> None:
    server = elsewhere(lambda path: answer)
    with pytest.raises(error, match=told) as caught:
        await laptop.store.login(server.url, TOKEN)
    assert "\x1b" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert (await laptop.store.state()).status == "none"


async def test_a_redirect_takes_no_token_along(
    laptop: Laptop, elsewhere: Callable[..., Elsewhere]
) -> None:
    thief = elsewhere(lambda path: (200, {}, ABOUT))
    server = elsewhere(lambda path: (307, {"Location": f"{thief.url}{path}"}, b""))
    with pytest.raises(ConnectionFailed):
        await laptop.store.login(server.url, TOKEN)
    assert thief.asked == []
    assert len(server.asked) == 1


async def test_nobody_there_is_told_within_the_time_that_was_given(laptop: Laptop) -> None:
    accounts = Accounts(laptop.home / "sync")
    # An address of the documentation, in a network that answers nobody.
    accounts.keep(Account(url="https://127.255.255.1:1", user="ada", folder="/ada"), Token(TOKEN))
    await laptop.save("@/x", alpha=1)
    began = time.monotonic()
    state = await laptop.store.nudge()
    assert time.monotonic() - began < 2
    assert (state.status, state.queued) == ("offline", 1)


async def test_a_store_that_is_silent_holds_nobody_up(
    laptop: Laptop, elsewhere: Callable[..., Elsewhere]
) -> None:
    silent = threading.Event()

    def answer(path: str) -> Answer:
        if path != "/v1/about":
            silent.wait(20)
        return 200, {}, ABOUT

    server = elsewhere(answer)
    await laptop.store.login(server.url, TOKEN)
    began = time.monotonic()
    await laptop.save("@/x", alpha=1)
    state = await laptop.store.nudge()
    assert state.status == "offline"
    assert len(await laptop.names()) == 1
    asked = len(server.asked)
    await laptop.store.nudge()  # the circuit may be open: then nobody is asked
    await laptop.store.call(lambda names: names.history(Name.parse("@/x")))
    assert time.monotonic() - began < 4
    assert len(server.asked) <= asked + 2
    silent.set()


def test_the_circuit_opens_longer_with_each_failure_and_closes_with_an_answer(
    tmp_path: Path,
) -> None:
    laptop = Laptop(tmp_path)
    contact = ContactFile(tmp_path, laptop.now)
    waits = [contact.failed("away") for _ in range(12)]
    assert all(0 <= wait <= min(60, 0.5 * 2**n) for n, wait in enumerate(waits))
    assert max(waits) > 1
    assert contact.failed("busy", after_s=7.0) >= 7.0
    assert contact.is_open()
    assert contact.read().error == "busy"
    contact.heard(status="current")
    assert not contact.is_open()
    assert contact.read().failures == 0


def _certificate(folder: Path) -> Path:
    """A key and a certificate for loopback that vouches for itself."""
    both = folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext"),
            *("subjectAltName=IP:127.0.0.1", "-keyout", str(both), "-out", f"{both}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    with both.open("ab") as file:
        file.write(Path(f"{both}.crt").read_bytes())
    return both


async def test_a_certificate_nobody_vouches_for_is_refused(
    laptop: Laptop,
    elsewhere: Callable[..., Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = _certificate(tmp_path)
    server = elsewhere(lambda path: (200, {}, ABOUT), both)
    with pytest.raises(Refused, match="certificate"):
        await laptop.store.login(server.url, TOKEN)
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", f"{both}.crt")
    assert (await laptop.store.login(server.url, TOKEN)).user == "ada"
    assert os.environ["SSL_CERT_FILE"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_two_that_keep_in_step_see_each_other_and_outlive_the_store(
    served: Served, tmp_path: Path
) -> None:
    laptops = [Laptop(tmp_path / user) for user in ("ada", "bob")]
    for laptop, user in zip(laptops, ("ada", "bob"), strict=True):
        await laptop.store.login(served.url, served.user(user))
        grant(served, user, "/team")
    ada, bob = laptops

    async def arrives(laptop: Laptop, name: str) -> None:
        for _ in range(600):
            if await laptop.store.call(lambda names: names.exists(Name.parse(name))):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} did not arrive within 30 s")

    async with asyncio.TaskGroup() as group:
        keeping = [group.create_task(laptop.store.keep()) for laptop in laptops]
        await ada.save("/team/one", n=1)
        await arrives(bob, "/team/one")
        # A second desk on the same folder saves; the one that keeps in step sends it.
        beside = Laptop(tmp_path / "bob")
        await beside.save("/team/two", n=2)
        await arrives(ada, "/team/two")
        assert (await beside.store.state()).syncing_pid == os.getpid()
        state = await beside.store.sync(timeout_s=10)
        assert state.queued == 0
        await beside.store.aclose()
        served.kill()
        await ada.save("/team/three", n=3)
        await asyncio.sleep(0.5)
        assert (await ada.load("/team/three")).sync == "queued"
        served.start()
        await arrives(bob, "/team/three")
        for each in keeping:
            each.cancel()
    for laptop in laptops:
        await laptop.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_whoever_logs_out_leaves_nothing_of_the_store_behind(
    served: Served, tmp_path: Path
) -> None:
    laptop = Laptop(tmp_path / "ada")
    await laptop.store.login(served.url, served.user("ada"))
    await laptop.save("@/secret-plan", n=1)
    await laptop.settle()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(laptop.store.keep())
        await asyncio.sleep(0.5)
        await laptop.store.logout()
        await asyncio.sleep(1.0)
        assert (await laptop.store.state()).status == "none"
        held = b"".join(f.read_bytes() for f in laptop.home.rglob("*") if f.is_file())
        assert b"secret-plan" not in held
        assert not list(laptop.home.rglob("token"))
        # In again, as somebody else: another folder, and `keep` goes on with it.
        await laptop.store.login(served.url, served.user("bob"))
        await laptop.save("@/other", n=1)
        for _ in range(200):
            if not (await laptop.store.state()).queued:
                break
            await asyncio.sleep(0.05)
        assert [(r.name, r.sync) for r in await laptop.names()] == [("/bob/other", "current")]
        keeping.cancel()
    await laptop.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_waits_for_one_store_is_not_sent_to_another(
    served: Served, tmp_path: Path
) -> None:
    laptop = Laptop(tmp_path / "laptop")
    ada, bob = served.user("ada"), served.user("bob")
    await laptop.store.login(served.url, ada)
    await laptop.save("@/x", n=1)
    state = await laptop.store.login(served.url, bob)
    assert "1 writes of ada" in state.error
    await laptop.settle()
    assert await laptop.names() == []
    await laptop.store.login(served.url, ada)
    assert (await laptop.store.state()).queued == 1
    await laptop.settle()
    assert [r.name for r in await laptop.names()] == ["/ada/x"]
    await laptop.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_code_is_there_before_the_record_and_a_file_too_large_is_refused(
    served: Served, tmp_path: Path
) -> None:
    ada, elsewhere = Laptop(tmp_path / "ada"), Laptop(tmp_path / "elsewhere")
    for laptop in (ada, elsewhere):
        await laptop.store.login(served.url, served.user("ada"))
    files = {f"f{n}.py": f"x = {n}\n".encode() for n in range(60)}
    digests = {path: sha256(data).hexdigest() for path, data in files.items()}
    shelf = CodeShelf(ada.home / "code")
    shelf.keep({digests[path]: data for path, data in files.items()})
    await ada.save("@/small", code={"files": digests, "blob": ""})
    large = b"x" * (LARGEST_BLOB + 1)
    shelf.keep({sha256(large).hexdigest(): large})
    await ada.save("@/large", code={"files": {}, "blob": sha256(large).hexdigest()})
    state = await ada.settle()
    assert state.rejected == 1
    (refused,) = await ada.store.call(lambda names: names.rejected())
    assert refused.name == "/ada/large"
    assert "a store takes" in refused.reason
    await elsewhere.settle()
    assert [r.name for r in await elsewhere.names()] == ["/ada/small"]
    for path, digest in digests.items():
        assert await elsewhere.store.fetch_code(digest) == files[path]
    with pytest.raises(NotFound):
        await elsewhere.store.fetch_code("0" * 64)
    for laptop in (ada, elsewhere):
        await laptop.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_large_records_are_read_a_few_at_a_time(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, elsewhere = Laptop(tmp_path / "ada"), Laptop(tmp_path / "elsewhere")
    for laptop in (ada, elsewhere):
        await laptop.store.login(served.url, served.user("ada"))
    for number in range(30):
        await ada.save(f"@/n{number}", text="x" * 100_000)
    await ada.settle()
    monkeypatch.setattr("rhdesk.sync.remote._LARGEST", 250_000)
    await elsewhere.settle()
    assert len(await elsewhere.names()) == 30
    monkeypatch.setattr("rhdesk.sync.remote._LARGEST", 50_000)
    await ada.save("@/one-more", text="x" * 100_000)
    await ada.store.sync()
    state = await elsewhere.store.sync()
    assert state.status == "offline"
    assert "at once" in state.error
    for laptop in (ada, elsewhere):
        await laptop.store.aclose()
